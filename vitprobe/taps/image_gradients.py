"""Gradients of values inside a model with respect to its images: one forward, a backward each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vitprobe.data.model_input import ModelInput, image_of, run
from vitprobe.models.residual import ResidualSum, residual_calls
from vitprobe.taps.capture import capture
from vitprobe.taps.centres import Grid
from vitprobe.taps.sites import Site


@dataclass(frozen=True)
class Target:
    """An activation that gradients are taken of.

    grid: where its positions are; None where that is not known yet: the tensor comes as it is.
    site: of the survey; or sum: a residual sum, of which `branch` means the long branch before it
    enters the sum.
    """

    name: str
    kind: str
    grid: Grid | None
    site: Site | None = None
    sum: ResidualSum | None = None
    branch: bool = False


Take = Callable[[Target, Tensor], None]
OVERWRITTEN = "modified by an inplace operation"  # torch's words for what a backward pass lacks


_GRADIENTS = torch.inference_mode(False)  # a caller may be in one, where there are none


class _Enough(Exception):
    """All targets have come."""


@_GRADIENTS
def forward(
    model: nn.Module,
    images: Tensor | ModelInput,
    targets: Sequence[Target],
    take: Take,
    copies: bool = False,
) -> Tensor:
    """A forward with gradients, in which `take(target, x)` is given the live activations. What is
    to be differentiated is computed there and then: what comes next may write to them.

    To be called with the model in eval mode, in `as_found`, which gives its parameters back the
    gradients that they lose here.

    copies: keep copies of what backward passes need, where the model writes over it (which a model
        for inference may do).

    Returns:
        The images, a leaf: the only tensor that gradients lead to.
    """
    image = image_of(images)
    leaf = image.detach().clone().requires_grad_()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    sites = {target.site.name: target for target in targets if target.site is not None}
    sums = {target.sum.key: target for target in targets if target.sum is not None}
    left = len(targets)

    def taken(target: Target, x: Tensor) -> None:
        nonlocal left
        take(target, x)
        left -= 1

    def of_site(site: Site, x: Tensor, twin: Site | None) -> None:
        taken(sites[site.name], x)
        if not left:
            raise _Enough

    def of_sum(which: ResidualSum, call) -> Tensor:
        target = sums[which.key]
        view = target.grid.where.view if target.grid else lambda x: x
        if target.branch:  # before the sum, which may write over it
            taken(target, view(which.parts(call)[1]))
            return call.add()
        whole = call.add()
        taken(target, view(whole))
        return whole

    given = leaf  # copied within the graph: a model may write to its images
    with ExitStack() as stack:
        stack.enter_context(_nothing_recomputed())
        stack.enter_context(suppress(_Enough))
        stack.enter_context(capture(model, [target.site for target in sites.values()], of_site))
        if sums:
            # a pass that watches attention does not look at what readers compute: here they do
            stack.enter_context(torch._C._EnableTorchFunction())
            every = [target.sum for target in sums.values()]
            stack.enter_context(residual_calls(model, every, of_sum))
        stack.enter_context(torch.enable_grad())
        if copies:
            stack.enter_context(saved_tensors_hooks(_copied, lambda x: x))
        given = leaf.clone()
        if isinstance(images, ModelInput):
            images = images.map(lambda x: given if x is image else x)
        else:
            images = given
        run(model, images)
    return leaf


def gradients(values: Sequence[Tensor], leaf: Tensor, at_once: int = 1) -> Iterator[Tensor]:
    """The gradient of each of these numbers with respect to the leaf, in order; zeros where none
    leads there.

    at_once: how many are done in one backward pass, vectorised: their cotangents go side by side
    through the graph, which pays where a GPU waits for the host. Where an operation cannot do that,
    they are done one by one.
    """
    for start in range(0, len(values), at_once):
        some = values[start : start + at_once]
        found = _vectorised(some, leaf) if len(some) > 1 else None
        if found is not None:
            yield from found
            continue
        for value in some:
            found = _gradient(value, leaf)
            yield torch.zeros_like(leaf) if found is None else found


@_GRADIENTS
def _gradient(value: Tensor, leaf: Tensor) -> Tensor | None:
    return torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True)[0]


@_GRADIENTS
def _vectorised(values: Sequence[Tensor], leaf: Tensor) -> Tensor | None:
    """(values, ...); None where the graph has an operation that cannot."""
    try:
        with warnings.catch_warnings():
            # an operation without a rule of its own is done in a loop, which is right as well
            warnings.filterwarnings("ignore", "There is a performance drop")
            both = torch.stack(tuple(values))
            unit = torch.eye(len(values), dtype=both.dtype, device=both.device)
            return torch.autograd.grad(both, leaf, unit, retain_graph=True, is_grads_batched=True)[
                0
            ]
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        return None


def _copied(x: Tensor) -> Tensor:
    return x if isinstance(x, nn.Parameter) else x.clone()


@contextmanager
def saved_bytes() -> Iterator[Callable[[], int]]:
    """Counts what forwards in here keep for their backward passes, beside parameters. Those fail as
    they do elsewhere."""
    sizes: dict[int, int] = {}

    def keep(x: Tensor) -> tuple[Tensor, int]:
        if not isinstance(x, nn.Parameter):
            storage = x.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
        return x, x._version

    def give_back(kept: tuple[Tensor, int]) -> Tensor:
        x, version = kept
        if x._version != version:  # torch itself does not look where there are such hooks
            raise RuntimeError(f"{OVERWRITTEN}: a tensor of shape {tuple(x.shape)}")
        return x

    with saved_tensors_hooks(keep, give_back):
        yield lambda: sum(sizes.values())


@contextmanager
def _nothing_recomputed() -> Iterator[None]:
    """Checkpoints of the kind that hides its graph (`use_reentrant`) are plain calls in here."""
    module = torch.utils.checkpoint
    before = module.CheckpointFunction
    module.CheckpointFunction = _Plain
    try:
        yield
    finally:
        module.CheckpointFunction = before


class _Plain:
    """In the place of a reentrant checkpoint."""

    @staticmethod
    def apply(function: Callable, preserve_rng_state: bool, *args):
        return function(*args)
