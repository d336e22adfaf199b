"""Tick labels for an axis of layers: legible, and never on top of one another.

One axis holds n layers, one per unit, layer i at i, in a given length. The first of these that fits
at 6 pt or more is taken, at the largest size that fits: every layer's name; every block's name, at
the middle of its layers, with marks where it begins and ends; every k-th of them. Layers outside
blocks (stem, head) are added to the blocks' names where room is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from vitprobe.figures.names import both_ends, short_names
from vitprobe.figures.style import Measure

SIZES = (8.0, 7.5, 7.0, 6.5, 6.0)  # pt; nothing is smaller than the last
LONGEST = 216.0  # pt; longer names are shortened, together, so that they stay distinct
GAP = 0.8  # pt between labels that stand side by side like lines of text
WORD_GAP = 5.0  # pt between labels that follow one another on a line
OVERHANG = 8.0  # pt by which a label on a line may stick out at the axis's ends

Placed = tuple[float, str]  # position on the axis, text
Thickness = Callable[[str, float], float]  # text, size (pt) -> pt taken along the axis


@dataclass(frozen=True)
class TickLabels:
    """Where the labels are and where blocks begin and end (both in layers, ascending)."""

    positions: tuple[float, ...]
    texts: tuple[str, ...]
    limits: tuple[float, ...]
    size: float  # pt
    rotation: int  # degrees


def tick_labels(
    names: Sequence[str], blocks: Sequence[str], length: float, measure: Measure, *, along_x: bool
) -> TickLabels:
    """Choose the labels of one axis.

    Args:
        names: the n layers' names.
        blocks: each layer's block, "" outside blocks.
        length: the axis's length in pt.
        measure: text, size in pt -> width, height in pt.
        along_x: whether the axis is horizontal: its labels then stand upright (90 degrees) where
            they do not fit on a line.
    """
    row = _Axis(length, len(names), 90 if along_x else 0, lambda t, s: measure(t, s)[1], GAP)
    line = _Axis(length, len(names), 0, lambda t, s: measure(t, s)[0], WORD_GAP, OVERHANG)
    layers = [(float(i), name) for i, name in enumerate(names)]
    runs = _runs(blocks)
    middles = [((start + stop - 1) / 2, block) for start, stop, block in runs]
    limits = tuple(sorted({edge - 0.5 for start, stop, _ in runs for edge in (start, stop)}))
    outside = [layer for layer, block in zip(layers, blocks, strict=True) if not block]

    by_block = (middles, outside, limits) if runs else (layers, [], ())
    for wanted, others, marks in ((layers, [], ()), by_block):
        for way in (line, row) if along_x else (row,):
            for size in SIZES:
                if way.fits(wanted, size):
                    labels = way.fill(wanted, others, size)
                    return _shown(labels, marks, size, way.rotation, measure)
    wanted, others, _ = by_block  # blocks this short would have marks too dense to read
    labels = row.fill(row.every_kth(wanted, SIZES[-1]), others, SIZES[-1])
    return _shown(labels, (), SIZES[-1], row.rotation, measure)


def shorten(text: str, longest: float, size: float, measure: Measure) -> str:
    """The text, or its beginning and end around an ellipsis if it is longer than `longest` pt."""
    return both_ends(text, lambda text: measure(text, size)[0] <= longest)


def shorten_names(names: Sequence[str], longest: float, size: float, measure: Measure) -> list[str]:
    """The names; those longer than `longest` pt lose what they share (`short_names`)."""
    return short_names(names, longest, lambda name: measure(name, size)[0])


@dataclass(frozen=True)
class _Axis:
    """One way of writing labels along an axis."""

    length: float  # pt
    layers: int
    rotation: int
    thickness: Thickness
    gap: float  # pt
    overhang: float = float("inf")  # pt

    def fits(self, labels: Sequence[Placed], size: float) -> bool:
        """Whether no two of these labels (ascending) touch, and none sticks out too far."""
        pitch = self.length / self.layers
        end = -self.overhang
        for position, text in labels:
            centre, half = (position + 0.5) * pitch, self.thickness(text, size) / 2
            if centre - half < end:
                return False
            end = centre + half + self.gap
        return end - self.gap <= self.length + self.overhang

    def every_kth(self, labels: Sequence[Placed], size: float) -> list[Placed]:
        """Every k-th label, for the smallest k at which they fit."""
        step = 1
        while step < len(labels) and not self.fits(labels[::step], size):
            step += 1
        return list(labels[::step])

    def fill(self, labels: Sequence[Placed], more: Sequence[Placed], size: float) -> list[Placed]:
        """The labels and, of `more`, those that find room; the axis's two ends come first."""
        chosen = list(labels)
        for label in [*more[:1], *more[:0:-1]]:
            trial = sorted([*chosen, label])
            if self.fits(trial, size):
                chosen = trial
        return chosen


def _runs(blocks: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, stop, block) of each contiguous run of layers of one block."""
    runs, start = [], 0
    for block, members in groupby(blocks):
        stop = start + len(list(members))
        if block:
            runs.append((start, stop, block))
        start = stop
    return runs


def _shown(labels, limits, size, rotation, measure) -> TickLabels:
    return TickLabels(
        positions=tuple(position for position, _ in labels),
        texts=tuple(shorten_names([text for _, text in labels], LONGEST, size, measure)),
        limits=limits,
        size=size,
        rotation=rotation,
    )
