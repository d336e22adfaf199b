"""Numbers along an axis, as many as fit beside each other."""

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from vitprobe.figures.style import Measure

MOST = 6  # ticks
GAP = 4.0  # pt between two labels


def number_ticks(
    low: float,
    high: float,
    length: float,
    size: float,
    measure: Measure,
    *,
    along_x: bool = True,
    overhang: float = 8.0,
) -> tuple[list[float], list[str]]:
    """Positions and texts of round numbers from low to high along an axis of `length` pt.

    As many as do not touch, whose texts (`size` pt) stick out by `overhang` pt at most; at least
    one. All have the decimals that tell them apart: no power is set aside.
    """
    for most in range(MOST, 0, -1):
        values = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
        step = values[1] - values[0] if len(values) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
        values = [value for value in values if low <= value <= high]
        texts = [f"{value:.{decimals}f}" for value in np.add(values, 0.0)]
        centres = [(value - low) / (high - low) * length for value in values]
        halves = [measure(text, size)[0 if along_x else 1] / 2 for text in texts]
        ends = [(x - half, x + half) for x, half in zip(centres, halves, strict=True)]
        apart = all(a[1] + GAP <= b[0] for a, b in zip(ends, ends[1:], strict=False))
        inside = [-overhang <= a and b <= length + overhang for a, b in ends]
        if values and apart and all(inside):
            return values, texts
    kept = inside.index(True) if True in inside else 0
    return values[kept : kept + 1], texts[kept : kept + 1]
