"""Do tokens attend to tokens, or channels to channels (XCiT, DaViT)? Both may use one function.

Where channels attend, each head's channels stand where the tokens should be, and the places of the
input stand where a head's channels should be. The shape of the module's input tells which it is,
except where a head has as many channels as there are tokens: then one token is changed.
"""

from math import prod

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, run
from vitprobe.models.restore import as_found
from vitprobe.ops.wide import wide
from vitprobe.taps.attention_calls import attention_calls
from vitprobe.taps.attention_site import AttentionSite, Found

CHANNELS = "channel attention: channels attend to channels, not tokens to tokens"


def channels_attend(found: Found) -> bool | None:
    """By the shape of the module's input, (B, N, C), (B, h, w, C) or (B, C, h, w); None: it may be
    either."""
    shape = found.input_shape
    for axis in {3: (2,), 4: (3, 1)}.get(len(shape), ()):
        places = prod(shape[1:]) // shape[axis]
        if found.heads * found.tokens == shape[axis] and found.head_dim == places:
            return None if found.tokens == places else True
    return False


def channels_attend_in(model: nn.Module, images: Tensor | ModelInput, site: AttentionSite) -> bool:
    """By experiment: the module runs on its input, and on that with another first token.

    Where tokens attend, one row of q is another then (of the weights one row as a whole, besides a
    column); where channels do, every row is.
    """
    path = site.name.partition("#")[0]
    module = model if path == "output" else model.get_submodule(path.removeprefix("."))
    inputs: list[tuple[tuple, dict]] = []
    with as_found(model), torch.no_grad():
        hook = module.register_forward_pre_hook(
            lambda module, args, kwargs: inputs.append((args, kwargs)), with_kwargs=True
        )
        run(model, images)
        hook.remove()
        args, kwargs = inputs[0]
        plain = _leading(module, args, kwargs)
        other = _leading(module, *_with_another_token(args, kwargs, site.heads * site.tokens))
    changed = (other - plain).abs() > 1e-3 * plain[plain.isfinite()].abs().mean()
    enough = 0.0 if site.source == "q, k" else 0.5
    rows = wide(changed).mean((0, 1, 3)) > enough
    return rows.double().mean().item() > 0.5


def _leading(module: nn.Module, args: tuple, kwargs: dict) -> Tensor:
    """Its first q, or the scores behind its weights, less the median of each row."""
    seen: list[Tensor] = []

    def observe(name: str, found: Found) -> None:
        if found.attention is None:
            return
        x = wide(found.leading)
        if found.source == "weights":
            x = x.log()
            x = x - x.median(-1, keepdim=True).values
        seen.append(x)

    with attention_calls(module, observe):
        module(*args, **kwargs)
    return seen[0]


def _with_another_token(args: tuple, kwargs: dict, channels: int) -> tuple[tuple, dict]:
    """The arguments with another first token in their first tensor."""
    changed = False

    def change(x: object) -> object:
        nonlocal changed
        if changed or not isinstance(x, Tensor):
            return x
        changed = True
        x = x.clone(memory_format=torch.contiguous_format)
        channels_last = x.shape[-1] == channels
        first = x.flatten(1, -2)[:, 0] if channels_last else x.flatten(2)[:, :, 0]
        noise = torch.randn(first.shape, generator=torch.Generator().manual_seed(0))
        first += x.std() * noise.to(x)
        return x

    args = tuple(change(x) for x in args)
    return args, {key: change(x) for key, x in kwargs.items()}
