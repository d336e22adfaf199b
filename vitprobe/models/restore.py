"""Leave a model as it was found, whatever happened in between."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Every table in which torch.nn.Module keeps hooks that may fire in a forward or a backward.
_HOOK_TABLES = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
)


@contextmanager
def as_found(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode inside; outside, as it was, also after an error.

    Restored per module: the training flag, timm's `fused_attn` flag, and hooks (those added inside
    are removed); per parameter: `requires_grad`; per buffer: its values, since a forward may write
    running statistics. Buffers are copied once for that; parameters are not.

    torch's fast path of transformer encoders is off inside, for the whole process: it shows nothing
    of what it computes, and hands padded examples on as nested tensors.
    """
    modules = list(model.modules())
    training = [module.training for module in modules]
    fused = {m: vars(m)["fused_attn"] for m in modules if "fused_attn" in vars(m)}
    hooks = [(table, set(table)) for m in modules for table in _hook_tables(m)]
    requires_grad = {p: p.requires_grad for p in model.parameters()}
    buffers = [(m, name, b, b.clone()) for m in modules for name, b in m.named_buffers("", False)]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        model.eval()
        yield model
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, flag in zip(modules, training, strict=True):
            module.training = flag  # not .train(flag): models override it to freeze parts of them
        for module, flag in fused.items():
            module.fused_attn = flag
        for table, before in hooks:
            for added in set(table) - before:
                del table[added]
        for parameter, flag in requires_grad.items():
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)
        for module, name, buffer, values in buffers:
            _restore_buffer(module, name, buffer, values)


def _hook_tables(module: nn.Module) -> Iterator[dict]:
    for name in _HOOK_TABLES:
        if name in vars(module):
            yield vars(module)[name]


def _restore_buffer(module: nn.Module, name: str, buffer: torch.Tensor, values: torch.Tensor):
    """The same buffer object with the same values; untouched buffers are not written."""
    module._buffers[name] = buffer
    # An inference tensor may be written in inference mode only.
    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
        if buffer.shape != values.shape or buffer.device != values.device:
            buffer.data = values
        elif buffer.layout != torch.strided or not torch.equal(buffer, values):
            buffer.copy_(values)
