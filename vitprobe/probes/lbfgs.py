"""L-BFGS for convex losses of a linear model: the line search costs no product with the data."""

from collections.abc import Callable

from torch import Tensor

_MEMORY = 10  # steps remembered
_STEEPNESS = 0.4  # of the slope at a step's start, what may be left at its end


def minimise(
    logits_of: Callable[[Tensor], Tensor],
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    curvature: Callable[[Tensor, Tensor], Tensor],
    back: Callable[[Tensor], Tensor],
    penalty: Tensor,
    start: Tensor,
    tolerance: float,
    limit: int = 2000,
) -> tuple[Tensor, Tensor, bool]:
    """Parameters T (m, C) that minimise loss(A T) + sum of penalty T^2 / 2 (Nocedal 1980).

    Args:
        logits_of: T -> A T, linear. A product with the data, once a step.
        loss: A T -> its convex loss and its gradient with respect to A T.
        curvature: (A T, A D) -> second derivative of the loss along D.
        back: G -> A^T G. Once a step.
        penalty: (m, 1), 0 or more.
        start: (m, C), where it begins.
        tolerance: largest entry of the gradient at the end.
        limit: of steps.

    Returns: T, A T, and whether the tolerance was met.
    """
    point, logits = start, logits_of(start)
    value, slope = loss(logits)
    gradient = back(slope) + penalty * point
    steps: list[tuple[Tensor, Tensor, Tensor]] = []  # step, change of the gradient, 1 / (s y)
    for _ in range(limit):
        if gradient.abs().max() <= tolerance:
            return point, logits, True
        along = -_two_loops(gradient, steps)
        logits_along = logits_of(along)
        # Of the penalty along the line: sum p (T + t D)^2 / 2 = its value + t linear + t^2 square.
        linear, square = (penalty * point * along).sum(), (penalty * along * along).sum() / 2
        before, low, high, step = (gradient * along).sum(), 0.0, None, 1.0
        for _ in range(30):
            moved = logits + step * logits_along
            reached, slope = loss(moved)
            rise = (slope * logits_along).sum() + linear + 2 * step * square
            change = reached - value + step * linear + step**2 * square
            if rise.abs() <= -_STEEPNESS * before and change <= 1e-12 * value.abs():
                break
            low, high = (low, step) if rise > 0 else (step, high)
            bend = curvature(moved, logits_along) + 2 * square
            wanted = float(step - rise / bend)  # Newton's step along the line
            if high is None:
                step = min(max(wanted, 1.1 * step), 10 * step)
            else:
                edge = 0.05 * (high - low)
                inside = low + edge <= wanted <= high - edge
                step = wanted if inside else (low + high) / 2
        last, point, logits, value = gradient, point + step * along, moved, reached
        gradient = back(slope) + penalty * point
        s, y = step * along, gradient - last
        product = (s * y).sum()
        if product > 0:
            steps = [*steps[1 - _MEMORY :], (s, y, 1 / product)]
        elif not steps:
            break  # no progress beyond rounding
        else:
            steps = []
    return point, logits, bool(gradient.abs().max() <= tolerance)


def _two_loops(gradient: Tensor, steps: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """The inverse of the approximate Hessian times a gradient."""
    found, kept = gradient, []
    for s, y, inverse in reversed(steps):
        factor = inverse * (s * found).sum()
        found = found - factor * y
        kept.append(factor)
    if steps:
        _, y, inverse = steps[-1]
        found = found / (inverse * (y * y).sum())
    for (s, y, inverse), factor in zip(steps, reversed(kept), strict=True):
        found = found + (factor - inverse * (y * found).sum()) * s
    return found
