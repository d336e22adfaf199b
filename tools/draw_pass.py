"""The picture of docs/passes.md: from models and images to results.

python tools/draw_pass.py passes.png
"""

import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from vitprobe.figures.style import PLAIN, add_axes, fit_canvas, new_figure, save_png

GIVEN, PASS, READER, KEPT = "#eeeeee", "#dce9f7", "#fde3c3", "#dff0d8"
EDGE = {GIVEN: "#8a8a8a", PASS: "#4a79a8", READER: "#c8761c", KEPT: "#5a9146"}
INK = "#222222"
MONO = {"family": "DejaVu Sans Mono"}

WIDTH, HEIGHT = 10.4, 6.2  # inches; so are all places below


class Drawing:
    """Boxes with text in them, and arrows; text that leaves its box is an error."""

    def __init__(self, axes: Axes):
        self.axes = axes

    def box(self, left, bottom, width, height, colour, title="", lines=(), dashed=False):
        self.axes.add_patch(
            FancyBboxPatch(
                (left, bottom),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.07",
                facecolor=colour,
                edgecolor=EDGE[colour],
                linewidth=1,
                linestyle="--" if dashed else "-",
                clip_on=False,
            )
        )
        top = bottom + height - 0.1
        if title:
            self._text(left, top, width, title, weight="bold", size=8.5)
        for k, line in enumerate(lines):
            code = line.startswith("`")
            style = {"size": 7, **MONO} if code else {"size": 7.5}
            y = top - 0.2 - 0.175 * k if title else top - 0.175 * k
            self._text(left, y, width, line.removeprefix("`"), **style)
            if y - 0.14 < bottom:
                raise ValueError(f"{line!r} is below its box")

    def _text(self, left, top, width, text, **style):
        place = (left + 0.09, top)
        drawn = self.axes.text(*place, text, va="top", color=INK, **style, **PLAIN)
        across = drawn.get_window_extent(self.axes.figure.canvas.get_renderer()).width
        if across / self.axes.figure.dpi > width - 0.12:
            raise ValueError(f"{text!r} is wider than its box")

    def arrow(self, *points, colour=INK):
        """A line from the first point through the others to the last, where its head is."""
        for start, end in zip(points[:-2], points[1:-1], strict=True):
            across, up = zip(start, end, strict=True)
            self.axes.plot(across, up, color=colour, linewidth=1.1, solid_capstyle="round")
        self.axes.add_patch(
            FancyArrowPatch(
                *points[-2:],
                arrowstyle="-|>",
                mutation_scale=9,
                color=colour,
                linewidth=1.1,
                shrinkA=0,
                shrinkB=0,
            )
        )

    def note(self, x, y, text, **style):
        self.axes.text(x, y, text, color=INK, **{"size": 7.5, "va": "center"} | style, **PLAIN)


def draw():
    """The figure."""
    figure = new_figure()
    axes = add_axes(figure, 0.5, 0.5, WIDTH, HEIGHT)
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    on = Drawing(axes)
    _begin(on)
    _batches(on)
    _sums(on)
    for left, colour, word in (
        (0, GIVEN, "given"),
        (0.85, PASS, "the pass"),
        (1.95, READER, "a reader: what an analysis writes"),
        (4.4, KEPT, "kept in files"),
    ):
        on.box(left, 0, 0.18, 0.16, colour)
        on.note(left + 0.25, 0.075, word)
    fit_canvas(figure)
    return figure


def _begin(on):
    on.box(0, 5.2, 1.7, 0.95, GIVEN, "models, images", ["`prepare(...)", "one loader for all"])
    on.arrow((1.7, 5.67), (2.1, 5.67))
    lines = ["its first images, once for", "all readers:", "`models[k].sites"]
    on.box(2.1, 5.2, 2.0, 0.95, PASS, "look at each model", lines)
    on.arrow((4.1, 5.67), (4.5, 5.67))
    lines = [
        "`begin(models, inputs, notes)",
        "says it; sets about (JSON) and",
        "metrics (sums, all zero)",
    ]
    on.box(4.5, 5.2, 2.45, 0.95, READER, "what is wanted?", lines)
    on.arrow((6.95, 5.67), (7.35, 5.67))
    lines = [
        "a partial of this very run: its",
        "sums are taken up, its batches",
        "are not done again",
    ]
    on.box(7.35, 5.2, 3.05, 0.95, PASS, "go on?  (--resume)", lines)
    on.arrow((7.5, 5.2), (7.5, 4.75))


def _batches(on):
    on.box(0, 1.95, 7.75, 2.8, PASS, "each batch of this process's share")
    on.box(0.15, 3.5, 1.2, 0.75, GIVEN, "images", ["read once, a", "view a model"])
    stages = ["stem", "blocks.0", "blocks.1", "blocks.2", "head"]
    wide, y = 0.9, 3.7
    places = [1.65 + 1.12 * k for k in range(len(stages))]
    on.arrow((1.35, y + 0.17), (places[0], y + 0.17))
    for k, (x, name) in enumerate(zip(places, stages, strict=True)):
        on.box(x, y, wide, 0.34, GIVEN, lines=[f"`{name}"], dashed=k > 3)
        if k + 1 < len(stages):
            colour = "#aaaaaa" if k > 2 else INK
            on.arrow((x + wide, y + 0.17), (places[k + 1], y + 0.17), colour=colour)
    on.note(places[0], 4.22, "one forward of each model, with one set of hooks for all readers")
    on.note(places[-1], 3.52, "not run:", size=7)
    on.note(places[-1], 3.36, "nobody wants it", size=7)
    lefts = (1.6, 3.6, 5.6)
    to_sums = ((7.9, 2.07), (7.9, 3.3), (8.05, 3.3))
    texts = [
        ("CKAReader", ["`take(site, x, twin)", "x becomes a vector"]),
        ("AttentionReader", ["`take(site, attention)", "q, k: four means a head"]),
        ("your reader", ["`take(...)", "while the tensor exists"]),
    ]
    for left, (title, lines) in zip(lefts, texts, strict=True):
        on.box(left, 2.2, 1.8, 0.72, READER, title, lines)
        on.arrow((left + 0.9, 2.2), (left + 0.9, 2.07), *to_sums, colour=EDGE[READER])
    for stage, reader, aside in (
        *((0, 0, -0.3), (1, 0, 0.3)),
        *((1, 1, -0.4), (2, 1, 0), (3, 1, 0.4)),
        *((2, 2, -0.3), (3, 2, 0.3)),
    ):
        start = places[stage] + wide / 2 + 0.15 * (reader - stage + 0.5)
        on.arrow((start, y), (lefts[reader] + 0.9 + aside, 2.92), colour=EDGE[READER])
    on.note(0.15, 2.74, "start(batch)", size=7, **MONO)
    on.note(0.15, 2.55, "all that is taken")
    on.note(0.15, 2.36, "finish()", size=7, **MONO)


def _sums(on):
    lines = [
        "metrics of all readers, and",
        "which batches are in them:",
        "small, however many images",
    ]
    on.box(8.05, 3.0, 2.35, 0.95, PASS, "sums", lines)
    lines = ["other processes (torchrun):", "one all-reduce of all sums"]
    on.box(8.05, 4.3, 2.35, 0.5, PASS, lines=lines)
    on.arrow((9.0, 3.95), (9.0, 4.3))
    on.arrow((9.4, 4.3), (9.4, 3.95))
    on.arrow((9.95, 3.0), (9.95, 2.5))
    on.note(9.85, 2.75, "every 60 s, when stopped", ha="right", size=7)
    lines = ["sums, batches, about; whole", "or as before, never between"]
    on.box(8.05, 1.7, 2.35, 0.8, KEPT, "NAME.partial", lines)
    on.box(
        8.05,
        0.5,
        2.35,
        0.8,
        KEPT,
        "other partials",
        ["of --shard 1/8, 2/8, ...,", "from machines far away"],
    )
    on.box(
        5.3,
        0.5,
        2.2,
        1.0,
        PASS,
        "vitprobe merge",
        ["of one run? no batch twice?", "none missing? then added,", "whatever order they are in"],
    )
    on.arrow((8.4, 1.7), (8.4, 1.5), (7.8, 1.5), (7.8, 1.2), (7.5, 1.2))
    on.arrow((8.05, 0.8), (7.5, 0.8))
    on.box(
        2.0,
        0.5,
        2.6,
        1.0,
        READER,
        "what do the sums say?",
        ["`results(about, metrics, ran)", "of these alone: no model and", "no image is needed"],
    )
    on.arrow((5.3, 1.0), (4.6, 1.0))
    on.arrow((8.05, 3.12), (7.98, 3.12), (7.98, 1.72), (3.3, 1.72), (3.3, 1.5))
    on.note(3.42, 1.83, "all batches are here", size=7)
    on.box(0, 0.5, 1.55, 1.0, KEPT, "results", ["labelled Datasets", "`.nc .png .csv"])
    on.arrow((2.0, 1.0), (1.55, 1.0))


if __name__ == "__main__":
    save_png(draw(), Path(sys.argv[1]))
