"""Is a sum of two tensors a residual one, and which operand is the skip: read off the graph that
autograd keeps of a forward.

With z and f the operands, and p the nearest value of the forward from which both were computed:

- z = p, and between p and f an operation mixes channels or positions (a matrix product, a
  convolution, attention, a pooling, a Fourier transform): z is the skip. Without such an operation
  it is a function written out, such as GELU's x + 0.044715 x^3.
- z comes from p by steps one after the other without activation, at most one of them with weights
  (a projection, with its norm; padding, strides, views), and f over more operations with weights:
  z is the skip, the shortcut of a downsampling block. A projection is one only beside a branch with
  an activation (a low-rank adapter has none).
- Else none is: branches in parallel, attention's terms for content and position.
"""

import heapq
import re
from typing import NamedTuple

from torch import Tensor
from torch.autograd.graph import Node

Value = tuple[Node, int]  # the operation that gave it, and which of its outputs it is

_WEIGHTS = re.compile(
    r"(Mm|Mv|Bmm|Addmm|Addmv|Baddbmm|Addbmm|Linear|Bilinear|_?Trilinear)Backward"
    r"|\w*(Convolution|Attention|Attn)"
)
_MIXING = re.compile(r"\w*(AvgPool|MaxPool)|Fft")
_ACTIVATION = re.compile(
    r"(Relu|Gelu|Silu|Sigmoid|Tanh|Hardswish|Hardtanh|Hardsigmoid|LeakyRelu|Elu|Celu|Softplus|Mish"
    r"|Prelu|Clamp|Threshold|Exp|Pow|Erf|_?(Safe)?Softmax|LogSigmoid)(Kernel|Min|Max)?Backward"
    r"|\w*(Attention|Attn)"
)
_PARTING = re.compile("Split|Unbind|Chunk")  # its outputs are other values of one tensor
_ATTENTION = re.compile(r"_?(Safe)?SoftmaxBackward|\w*(Attention|Attn)")


class Branches(NamedTuple):
    """What was found of a residual sum.

    skip: which operand it is, 0 or 1. mixing: the operations of the other one, from where the two
    part, that have weights, or if there are none those that mix without; the oldest first.
    attention, convolution: whether the other one has any.
    """

    skip: int
    mixing: list[Node]
    attention: bool
    convolution: bool


def value_of(x: Tensor) -> Value | None:
    """What a tensor is in the graph; None: nothing that depends on the images."""
    return None if x.grad_fn is None else (x.grad_fn, x.output_nr)


def branches(first: Value, second: Value) -> Branches | None:
    """The branches of first + second; None: it is no residual sum."""
    for skip, (z, f) in enumerate(((first, second), (second, first))):
        long = _long_branch(z, f)
        if long is not None:
            names = [node.name() for node in long]
            mixing = _those(_WEIGHTS, long) or _those(_MIXING, long)
            return Branches(
                skip,
                mixing,
                any(map(_ATTENTION.match, names)),
                any("Convolution" in name for name in names),
            )
    return None


def _long_branch(z: Value, f: Value) -> list[Node] | None:
    """The operations of f since it parted from z, if z is its skip; the oldest first."""
    shortcut = _shortcut(z)
    inputs_of = _history(f, shortcut[-1][0])
    for parting, weighted in shortcut:
        long = _between(parting, f, inputs_of)
        if not long:
            continue
        if parting == z:
            return long if _those(_WEIGHTS, long) or _those(_MIXING, long) else None
        active = bool(_those(_ACTIVATION, long))
        longer = _most_weighted(long, inputs_of) > weighted
        return long if longer and (active or not weighted) else None
    return None


def _shortcut(z: Value) -> list[tuple[Value, int]]:
    """z and the values that it comes from by steps which a shortcut may have, each with the
    number of weighted steps from it to z."""
    found, weighted = [(z, 0)], 0
    while True:
        node, name = z[0], z[0].name()
        inputs = _inputs(node)
        weighted += bool(_WEIGHTS.match(name))
        if len(inputs) != 1 or weighted > 1 or _ACTIVATION.match(name) or _PARTING.match(name):
            return found
        (z,) = inputs
        found.append((z, weighted))


def _those(kind: re.Pattern, nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if kind.match(node.name())]


def _inputs(node: Node) -> list[Value]:
    """What it was given, but for leaves: the images themselves, whose age is not known."""
    given = (value for value in node.next_functions if value[0] is not None)
    return list(dict.fromkeys(value for value in given if value[0].next_functions))


def _history(f: Value, until: Value) -> dict[Node, list[Value]]:
    """The operations behind f that are no older than that of `until`, with their inputs; the
    newest first. What came before `until` cannot come from it."""
    oldest = _age(until[0])
    found: dict[Node, list[Value]] = {}
    waiting, met = [(-_age(f[0]), 0, f[0])], {f[0]}
    while waiting:
        _, _, node = heapq.heappop(waiting)
        found[node] = _inputs(node)
        for before, _ in found[node]:
            if before not in met and oldest <= _age(before) < _age(node):
                met.add(before)
                heapq.heappush(waiting, (-_age(before), len(met), before))
    return found


def _age(node: Node) -> int:
    """When the operation was done: inputs come before outputs."""
    return node._sequence_nr()


def _between(parting: Value, f: Value, inputs_of: dict[Node, list[Value]]) -> list[Node]:
    """The operations on all ways from `parting` to f, the oldest first; []: there is no way."""
    after, found = set(), []
    for node, inputs in reversed(inputs_of.items()):
        if any(value == parting or value[0] in after for value in inputs):
            after.add(node)
            found.append(node)
    return found if f[0] in after else []


def _most_weighted(long: list[Node], inputs_of: dict[Node, list[Value]]) -> int:
    """The most operations with weights on one way along the branch."""
    most: dict[Node, int] = {}
    for node in long:
        before = max((most.get(value[0], 0) for value in inputs_of[node]), default=0)
        most[node] = before + bool(_WEIGHTS.match(node.name()))
    return most[long[-1]]
