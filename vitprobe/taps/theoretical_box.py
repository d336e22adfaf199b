"""Which pixels a value can depend on, by the kernels of the convolutions between: exact, and read
off the autograd graph of a real forward, so it is that of what the model does, whatever it states.

Backwards from a value at one position, an interval of positions [a, b] on an axis becomes
[a s - p, b s - p + (k - 1) d] at the input of a convolution or pooling with kernel k, stride s,
padding p and dilation d. Where paths meet, as before a residual branch, the union is taken. What
mixes all positions ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

# What each element gives to its own position alone; a matrix product (Addmm) mixes channels where
# it is a Linear. That nothing comes from outside the box is checked on gradients besides.
_LOCAL = {
    *(
        "Abs",
        "Add",
        "Addcmul",
        "Alias",
        "Clone",
        "Copy",
        "ToCopy",
        "Contiguous",
        "View",
        "UnsafeView",
    ),
    *("ReshapeAlias", "Expand", "Squeeze", "Unsqueeze", "Cat", "Split", "SplitWithSizes", "Stack"),
    *("Addmm", "Mm", "T", "Unbind", "Select", "Mul", "Div", "Neg", "Sub", "Rsub", "Pow", "Sqrt"),
    *("Rsqrt", "Exp", "Log", "Clamp", "ClampMin", "ClampMax", "Relu", "Threshold", "LeakyRelu"),
    *("Elu", "Gelu", "Silu", "Mish", "Sigmoid", "LogSigmoid", "Tanh", "Softplus", "Hardtanh"),
    *("Hardswish", "Hardsigmoid", "PreluKernel", "RreluWithNoise", "Where", "Maximum", "Minimum"),
    *("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "NativeDropout", "AsStrided"),
}
_ALL_POSITIONS = {
    "ScaledDotProduct": "attention",
    "Softmax": "attention (a softmax)",
    "Bmm": "a product of activations (attention, or a mixing of tokens)",
    "AdaptiveAvgPool": "pooling over all positions",
    "AdaptiveMaxPool": "pooling over all positions",
    "NativeGroupNorm": "group normalisation over all positions",
    "Upsample": "interpolation",
    "GridSampler": "interpolation",
    "Fft": "a Fourier transform",
}
POOLED = "pooling over all positions, as squeeze-and-excitation does"


@dataclass(frozen=True)
class Box:
    """First and last row and column, in pixels; beyond the image where that is smaller."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def side(self) -> int:
        """The longer one."""
        return max(self.bottom - self.top, self.right - self.left) + 1

    @property
    def point(self) -> tuple[float, float]:
        """Its centre: row and column."""
        return (self.top + self.bottom) / 2, (self.left + self.right) / 2

    def covers(self, height: int, width: int) -> bool:
        """Whether every pixel of such an image is in it."""
        return min(self.top, self.left) <= 0 and (
            self.bottom >= height - 1 and self.right >= width - 1
        )

    def within(self, height: int, width: int) -> tuple[slice, slice]:
        """Its part of such an image."""
        rows = slice(max(self.top, 0), min(self.bottom + 1, height))
        return rows, slice(max(self.left, 0), min(self.right + 1, width))


@dataclass
class _Reach:
    """What is reached of one tensor: an interval on each of the two axes of its positions."""

    low: tuple[int, int]
    high: tuple[int, int]
    axes: tuple[int, int]  # of a tensor with four axes

    def joined(self, other: _Reach | None) -> _Reach:
        if other is None:
            return self
        low = tuple(map(min, self.low, other.low))
        return _Reach(low, tuple(map(max, self.high, other.high)), self.axes)

    def moved(self, of_axis) -> _Reach:
        """of_axis: (which of the two, low, high) -> (low, high)."""
        both = [of_axis(i, self.low[i], self.high[i]) for i in (0, 1)]
        return _Reach(tuple(a for a, _ in both), tuple(b for _, b in both), self.axes)


class _Unknown(Exception):
    """Why there is no box."""


def theoretical_box(value: Tensor, place: tuple[int, int], axes: tuple[int, ...]) -> Box | str:
    """The box of one position of an activation; or why there is none.

    Args:
        value: with its graph, which ends in the image, a leaf: the only one that wants a gradient.
            To be called before anything else is done with the graph.
        place: row and column on the activation's grid.
        axes: those of its positions: of a map (n, C, H, W) 2 and 3; one of a sequence.
    """
    if value.grad_fn is None:
        return "it does not depend on the image"
    order = list(_sorted(value.grad_fn))
    try:
        for node in order:  # what mixes all positions decides, wherever it is
            if why := _mixes_all(node):
                return why
        reached = {value.grad_fn: _Reach(place, place, axes if len(axes) == 2 else (2, 3))}
        for node in order:
            here = reached.pop(node)
            if _name(node) == "AccumulateGrad":
                return Box(here.low[0], here.high[0], here.low[1], here.high[1])
            before = _before(node, here)
            for earlier, _ in node.next_functions:
                if earlier is not None:
                    reached[earlier] = before.joined(reached.get(earlier))
    except _Unknown as why:
        return f"it cannot be told what {why} reaches"
    return "it does not depend on the image"


def _sorted(root) -> Iterator:
    """Nodes of the graph, each after all that lead to it; the leaf comes last."""
    done, found = set(), []
    stack = [(root, False)]
    while stack:
        node, left = stack.pop()
        if left:
            found.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(n, False) for n, _ in node.next_functions if n is not None and n not in done]
    return reversed(found)


def _name(node) -> str:
    return node.name().rpartition("::")[2].partition("Backward")[0]


def _mixes_all(node) -> str:
    name = _name(node)
    for start, why in _ALL_POSITIONS.items():
        if start in name:
            return why
    if name == "Mean" and (not hasattr(node, "_saved_dim") or len(node._saved_dim) > 1):
        return POOLED
    if name in ("Mean", "Sum") and _pools(node):
        return POOLED
    if name == "NativeLayerNorm" and len(node._saved_normalized_shape) > 1:
        return "normalisation over all positions"
    if "BatchNorm" in name and getattr(node, "_saved_training", False):
        return "normalisation over all positions"
    return ""


def _pools(node) -> bool:
    """Whether it sums over positions: all axes but that of channels are lost."""
    if not hasattr(node, "_saved_dim"):
        return True
    sizes = node._saved_self_sym_sizes
    dims = {
        dim % len(sizes) if dim < 2**31 else dim - 2**64 + len(sizes) for dim in node._saved_dim
    }
    return len(dims) > 1 or (len(sizes) == 3 and dims == {1})


def _before(node, here: _Reach) -> _Reach:
    """What is reached of the input of one operation."""
    name = _name(node)
    if name == "Convolution":
        if node._saved_transposed or len(node._saved_stride) != 2:
            raise _Unknown("a convolution that is transposed, or not over two axes,")
        kernel = node._saved_weight.shape[2:]
        return _kernel(here, kernel, node._saved_stride, node._saved_padding, node._saved_dilation)
    if name in ("MaxPool2DWithIndices", "AvgPool2D"):
        kernel = _two(node._saved_kernel_size)
        stride = _two(node._saved_stride) or kernel
        dilation = _two(getattr(node, "_saved_dilation", ())) or (1, 1)
        return _kernel(here, kernel, stride, _two(node._saved_padding), dilation)
    axes = here.axes
    if name == "Permute":
        dims = [_signed(dim) for dim in node._saved_dims]
        if len(dims) == 4:
            axes = tuple(dims[axis] % 4 for axis in axes)
    elif name == "Transpose":
        if len(node._input_metadata[0].shape) == 4:
            pair = [_signed(node._saved_dim0) % 4, _signed(node._saved_dim1) % 4]
            swap = {pair[0]: pair[1], pair[1]: pair[0]}
            axes = tuple(swap.get(axis, axis) for axis in axes)
    elif name == "ConstantPadNd":
        pad = [_signed(side) for side in node._saved_pad]
        count = len(node._input_metadata[0].shape)
        first = [pad[2 * (count - 1 - axis)] if 2 * (count - 1 - axis) < len(pad) else 0
                 for axis in axes]  # fmt: skip
        return here.moved(lambda i, low, high: (low - first[i], high - first[i]))
    elif name == "Slice":
        return _sliced(node, here)
    elif name not in _LOCAL and name != "NativeLayerNorm" and name not in ("Mean", "Sum"):
        raise _Unknown(name)
    return _Reach(here.low, here.high, axes)


def _kernel(here: _Reach, kernel, stride, padding, dilation) -> _Reach:
    def of_axis(i: int, low: int, high: int) -> tuple[int, int]:
        start = -padding[i]
        return low * stride[i] + start, high * stride[i] + start + (kernel[i] - 1) * dilation[i]

    moved = here.moved(of_axis)
    return _Reach(moved.low, moved.high, (2, 3))


def _sliced(node, here: _Reach) -> _Reach:
    dim, start, step = _signed(node._saved_dim), _signed(node._saved_start), node._saved_step
    sizes = node._saved_self_sym_sizes
    dim %= len(sizes)
    if len(sizes) != 4 or dim not in here.axes:
        if step == 1:
            return here
        raise _Unknown("a slice with steps")
    start = start if start >= 0 else max(start + sizes[dim], 0)
    which = here.axes.index(dim)
    return here.moved(
        lambda i, low, high: (
            (low * step + start, high * step + start) if i == which else (low, high)
        )
    )


def _signed(number: int) -> int:
    """Negative numbers are saved as those of 64 bits without a sign."""
    return number - 2**64 if number >= 2**63 else number


def _two(sizes) -> tuple[int, ...]:
    """Of one number two."""
    return tuple(sizes) * 2 if len(sizes) == 1 else tuple(sizes)
