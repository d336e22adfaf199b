"""The residual sums of a model, z + f(z): found by what it does, not by how its parts are named."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from vitprobe.data.model_input import ModelInput, run
from vitprobe.models.blocks import block_paths
from vitprobe.models.residual_graph import branches, value_of
from vitprobe.models.residual_names import Made, named
from vitprobe.models.restore import as_found
from vitprobe.models.sum_calls import SumCall, SumKey, sum_calls
from vitprobe.models.wrapped import unwrapped

FEW = 2  # examples on which they are looked for


@dataclass(frozen=True)
class ResidualSum:
    """One residual sum of a model.

    key: which of its sums. skip: which operand is the skip z, 0 or 1; the other one is f. name:
    path of what computes f: of the block, where it has this sum alone, else of the part of it; or
    the block's with the kind, where no part of its own does; unique in the model, `#2` for a second
    call. block: path of the block, or "". kind: "attention" where there is any in f; "block" where
    f has convolutions, and its module no other sum; else "mlp".
    """

    key: SumKey
    skip: int
    name: str
    block: str
    kind: str

    def parts(self, call: SumCall) -> tuple[Tensor, Tensor]:
        """(z, f) of a sum."""
        return call.operands[self.skip], call.operands[1 - self.skip]

    def without_skip(self, call: SumCall) -> Tensor:
        """f in the place of the sum."""
        return call.only(1 - self.skip)


Act = Callable[[ResidualSum, SumCall], Tensor]


def residual_sums(
    model: nn.Module,
    images: Tensor | ModelInput,
    seen: Callable[[SumKey, Tensor, Tensor], None] | None = None,
) -> list[ResidualSum]:
    """Every residual sum, in the order in which they are made; [] where there is none.

    The model runs once on the first two images, in eval mode, and is left as found. See
    `residual_graph` for what makes a sum residual. What the images do not reach (positions,
    biases) is no operand; sums of different shapes are none either.

    Args:
        model: any module, also in a wrapper (DataParallel, torch.compile's, an averaged one).
        images: (n, ...) on the model's device, n >= 1, or a ModelInput.
        seen: called with (key, z, f) of each as it is found.
    """
    model = unwrapped(model)
    modules = _Modules()
    found: list[tuple[SumKey, int]] = []
    made: list[Made] = []

    def look(key: SumKey, call: SumCall) -> Tensor:
        first, second = map(value_of, call.operands)
        same = call.operands[0].shape == call.operands[1].shape
        if first and second and same and (found_here := branches(first, second)):
            found.append((key, found_here.skip))
            inside = [modules.of(node) for node in found_here.mixing]
            kinds = found_here.attention, found_here.convolution
            made.append(Made(key.module, key.place, inside, *kinds))
            if seen:
                skip = found_here.skip
                seen(key, call.operands[skip].detach(), call.operands[1 - skip].detach())
        return call.add()

    with _looked_at(model), sum_calls(model, look, modules.now):
        run(model, _differentiable(images[:FEW]))
    names = named(made, block_paths(model))
    return [ResidualSum(*each, *name) for each, name in zip(found, names, strict=True)]


def has_graph(model: nn.Module, images: Tensor | ModelInput) -> bool:
    """Whether any layer's output has the gradient's graph, in which residual sums are found."""
    found = []
    model = unwrapped(model)

    def look(module: nn.Module, given, output) -> None:
        found.append(isinstance(output, Tensor) and output.requires_grad)

    with ExitStack() as stack, _looked_at(model):
        for module in model.modules():
            stack.callback(module.register_forward_hook(look).remove)
        run(model, _differentiable(images[:FEW]))
    return any(found)


@contextmanager
def _looked_at(model: nn.Module) -> Iterator[None]:
    """In here the model is in eval mode, and gradients lead to its images alone."""
    with as_found(model), torch.inference_mode(False), torch.enable_grad():
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        yield


@contextmanager
def residual_calls(model: nn.Module, sums: Sequence[ResidualSum], act: Act) -> Iterator[None]:
    """During each forward of `model`, `act(sum, call)` takes the place of each of these sums, and
    returns what the model gets: `call.add()`, or `sum.without_skip(call)`.

    What `act` computes itself is not seen. Mode, gradients and the model are the caller's affair.
    """
    wanted = {each.key: each for each in sums}

    def acted(key: SumKey, call: SumCall) -> Tensor:
        each = wanted.get(key)
        return call.add() if each is None else act(each, call)

    with sum_calls(unwrapped(model), acted):
        yield


def _differentiable(images: Tensor | ModelInput) -> Tensor | ModelInput:
    """Copies that gradients lead to, and that may be written."""

    def each(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        return x.detach().clone().requires_grad_().clone()

    return images.map(each) if isinstance(images, ModelInput) else each(images)


class _Modules:
    """Which module made an operation of the graph, by its age."""

    def __init__(self) -> None:
        self._running = [""]
        self._from: list[int] = []
        self._paths: list[str] = []

    def now(self, path: str | None) -> None:
        """The forward of the module at this path begins; None: that of the last one ends."""
        if path is None:
            self._running.pop()
        else:
            self._running.append(path)
        self._from.append(torch._C._autograd._get_sequence_nr())
        self._paths.append(self._running[-1])

    def of(self, node: Node) -> str:
        """Path of the module."""
        return self._paths[bisect_right(self._from, node._sequence_nr()) - 1]
