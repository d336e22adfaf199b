"""Points with names on a map: none on top of another."""

from collections.abc import Iterator, Sequence
from math import cos, floor, log10, pi, sin

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vitprobe.figures.style import PLAIN, POINTS, Measure, add_axes, text_measure

SIZE = 7.0  # pt
DOT = 3.0  # pt, half a point's box
MARGIN = 10.0  # pt from the frame to the outermost point
NEAR = (5.0, 9.0, 14.0)  # pt from a point to its name
FAR = (*NEAR, 20.0, 28.0, 38.0, 50.0)  # and to its number
WAYS = 16  # directions
LEADER = 9.0  # pt beyond which a line leads to the name
GAP = 1.5  # pt between names
FLATTEST = 0.45  # height of the points against their width

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pt


def map_height(points: np.ndarray, width: float) -> float:
    """Inches of a map so wide: as flat as the points lie, within bounds."""
    known = points[np.isfinite(points).all(1)]
    across, up = np.ptp(known, axis=0) if len(known) else (1.0, 1.0)
    return width * min(max(up / across if across else 1.0, FLATTEST) + 0.15, 1.0)


def draw_map(
    figure: Figure,
    place: tuple[float, float, float, float],  # left, bottom, width, height in inches
    points: np.ndarray,  # (M, 2); NaN: not on the map
    names: Sequence[str],
    hollow: Sequence[bool],
    numbers: Sequence[int],  # from 0
) -> bool:
    """Points at one scale both ways, a bar that tells it, and their names beside them, or where
    those have no room numbers (from 1). Whether there are numbers."""
    axes = add_axes(figure, *place)
    width, height = place[2] * POINTS, place[3] * POINTS
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    axes.add_patch(Rectangle((0, 0), width, height, fill=False, linewidth=0.6, edgecolor="0.6"))
    known = np.flatnonzero(np.isfinite(points).all(1))
    if not len(known):
        return False
    low, high = points[known].min(0), points[known].max(0)
    measure = text_measure(figure)
    bar_room = 20.0
    room = np.array([width, height - bar_room]) - 2 * MARGIN
    span = np.maximum(high - low, 1e-12)
    scale = float((room / span).min()) if (high - low).max() > 0 else 1.0
    # names to the right and left of the outermost points need room, too
    scale *= 0.8
    centre = np.array([width / 2, bar_room + (height - bar_room) / 2])
    dots = centre + (points[known] - (low + high) / 2) * scale
    for k, (x, y) in zip(known, dots, strict=True):
        fill = "white" if hollow[k] else "#31688e"
        axes.plot(x, y, "o", markersize=4.5, color=fill, markeredgecolor="#31688e",
                  markeredgewidth=0.9, zorder=3)  # fmt: skip
    taken = _scale_bar(axes, scale, (high - low).max(), measure)
    frame = (1.0, 1.0, width - 1.0, height - 1.0)
    numbered = False
    texts = [names[k] for k in known]
    found = _placed(dots, texts, frame, taken, NEAR, measure)
    if found is None:
        numbered = True
        texts = [str(1 + numbers[k]) for k in known]
        found = _placed(dots, texts, frame, taken, FAR, measure) or [None] * len(texts)
    for (x, y), text, box in zip(dots, texts, found, strict=True):
        if box is None:
            continue
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        near = min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])
        if np.hypot(near[0] - x, near[1] - y) > LEADER:
            axes.plot([x, near[0]], [y, near[1]], color="0.6", linewidth=0.5, zorder=1)
        axes.text(*middle, text, ha="center", va="center", fontsize=SIZE, zorder=4, **PLAIN)
    return numbered


def _placed(
    dots: np.ndarray,
    texts: Sequence[str],
    frame: Box,
    taken: Box,
    radii: Sequence[float],
    measure: Measure,
) -> list[Box] | None:
    """A box for each text near its point, the most crowded points first; None: no room."""
    points = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots]
    apart = np.linalg.norm(dots[:, None] - dots[None], axis=2)
    crowd = np.argsort(np.sort(apart, 1)[:, 1 : min(4, len(dots))].sum(1), kind="stable")
    found: dict[int, Box] = {}
    for k in crowd:
        width, height = (side + GAP for side in measure(texts[k], SIZE))
        others = [taken, *points, *found.values()]
        for box in _around(dots[k], width, height, radii):
            inside = frame[0] <= box[0] and frame[1] <= box[1]
            inside = inside and box[2] <= frame[2] and box[3] <= frame[3]
            if inside and not any(_meet(box, other) for other in others):
                found[k] = box
                break
        else:
            return None
    return [found[k] for k in range(len(dots))]


def _around(dot: np.ndarray, width: float, height: float, radii: Sequence[float]) -> Iterator[Box]:
    """Boxes of a text around a point: nearest first, and of these on its right first."""
    for radius in radii:
        for way in sorted(range(WAYS), key=lambda w: min(w, WAYS - w)):
            angle = 2 * pi * way / WAYS
            x = dot[0] + (radius + width / 2) * cos(angle)
            y = dot[1] + (radius + height / 2) * sin(angle)
            yield x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _meet(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _scale_bar(axes, scale: float, span: float, measure: Measure) -> Box:
    """A bar in the lower left corner as long as a round distance; what it takes."""
    if not span > 0:
        return (0.0, 0.0, 0.0, 0.0)
    ten = 10.0 ** floor(log10(span / 3))
    length = max(step for step in (ten, 2 * ten, 5 * ten) if step <= span / 3)
    x, y = 6.0, 6.0
    axes.plot([x, x + length * scale], [y, y], color="0.3", linewidth=1.2, solid_capstyle="butt")
    text = f"{length:.3g} of similarity"
    axes.text(x, y + 2.5, text, fontsize=6.5, color="0.3", va="bottom", **PLAIN)
    width, height = measure(text, 6.5)
    return 0.0, 0.0, x + max(width, length * scale) + 3, y + height + 5
