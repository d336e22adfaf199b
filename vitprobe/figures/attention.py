"""How far the heads of a vision transformer look, layer by layer; one model, or several in columns.

As Fig. 3 (and 4) of Raghu et al. 2021 (arXiv 2108.08810): heads in order of their mean distance for
the first two and the last two layers; then all heads against depth, and their entropy. The dashed
line is attention that is equal over all tokens.
"""

from collections.abc import Sequence

import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.attention_panels import (
    Span,
    distance_by_depth,
    entropy_by_depth,
    ranked_heads,
)
from vitprobe.figures.labels import shorten
from vitprobe.figures.style import (
    POINTS,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.figures.weights import weights_facts

PANELS = (ranked_heads, distance_by_depth, entropy_by_depth)
WIDTH, HEIGHT = 3.0, 2.5  # inches, of a panel
ACROSS, BESIDE = 0.75, 0.3  # inches between panels; BESIDE: those that share an axis
BOTTOMS = (0.0, -(HEIGHT + 1.05), -(2 * HEIGHT + 2.55))  # room for upright names below the second


def figure(dataset: xarray.Dataset) -> Figure:
    """Three panels of a result of `vitprobe.attention`, side by side.

    Raises:
        InputError: `distance` or `entropy` is missing, or has other dimensions.
    """
    return _drawn([dataset])


def compare(datasets: Sequence[xarray.Dataset]) -> Figure:
    """Results of several models: a column for each, whose panels share their axes.

    Raises:
        InputError: as `figure`; or there is no result.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more results of vitprobe.attention")
    return _drawn(list(datasets))


def _drawn(datasets: list[xarray.Dataset]) -> Figure:
    for dataset in datasets:
        _check(dataset)
    drawn = new_figure()
    measure = text_measure(drawn)
    span, several = Span.of(datasets), len(datasets) > 1
    tops = []
    for column, dataset in enumerate(datasets):
        for row, panel in enumerate(PANELS):
            if several:
                left, bottom = column * (WIDTH + BESIDE), BOTTOMS[row]
            else:
                left, bottom = row * (WIDTH + ACROSS), 0.0
            axes = add_axes(drawn, left, bottom, WIDTH, HEIGHT)
            panel(axes, dataset, span, WIDTH, measure)
            if column:  # the first column's axis is everyone's
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
            if row == 0 or not several:
                tops.append(axes)
    above = 4 + max(_legend_height(axes) for axes in tops)
    facts = [_facts(dataset) for dataset in datasets]
    shared = [fact for fact in facts[0] if all(fact in others for others in facts)]
    if several:
        own = ["  ·  ".join(fact for fact in each if fact not in shared) for each in facts]
        for axes, dataset, line in zip(tops, datasets, own, strict=True):
            line = shorten(line, WIDTH * POINTS, 7, measure)
            top = (
                add_line(axes, line, above, {"fontsize": 7, "color": "0.3"}) if any(own) else above
            )
            name = shorten(_model(dataset), 0.85 * WIDTH * POINTS, 9.5, measure)  # bold is wider
            top = add_line(axes, name, top, {"fontsize": 9.5, "fontweight": "bold"})
        above = top + 2
    longest = (WIDTH + BESIDE) * len(datasets) * POINTS if several else 3 * WIDTH * POINTS
    longest = max(longest, 2 * WIDTH * POINTS)
    for parts, style in (
        (shared, {"fontsize": 7.5, "color": "0.3"}),
        (_title(datasets), {"fontsize": 10.5, "color": "black"}),
    ):
        for line in reversed(wrap(parts, longest, style["fontsize"], measure)):
            text = shorten(line, longest, style["fontsize"], measure)
            above = add_line(tops[0], text, above, style)
    fit_canvas(drawn)
    return drawn


def _check(dataset: xarray.Dataset) -> None:
    for name in ("distance", "entropy"):
        if name not in dataset or dataset[name].dims != ("layer", "head"):
            raise InputError(
                f"cannot plot this result: it has no {name!r} over layer and head; compute it again"
            )
    if not dataset["distance"].size:
        raise InputError("cannot plot this result: it holds no layers")


def _legend_height(axes) -> float:
    renderer = axes.figure.canvas.get_renderer()
    return axes.get_legend().get_window_extent(renderer).height * POINTS / axes.figure.dpi


def _model(dataset: xarray.Dataset) -> str:
    return str(dataset.attrs.get("model", "model"))


def _title(datasets: list[xarray.Dataset]) -> list[str]:
    attrs = datasets[0].attrs
    title = ["Attention" if len(datasets) > 1 else f"Attention of {_model(datasets[0])}"]
    if "dataset" in attrs:
        title.append(str(attrs["dataset"]))
    if "examples" in attrs:
        title.append(f"{int(attrs['examples']):,} examples")
    return title


def _facts(dataset: xarray.Dataset) -> list[str]:
    """What the numbers belong to, as far as the result says."""
    attrs, facts = dataset.attrs, []
    if attrs.get("model_image_size"):
        facts.append(f"images of {str(attrs['model_image_size']).replace(', ', ' x ')} px")
    sizes = {
        (float(height), float(width))
        for height, width in zip(
            dataset.coords["patch_height"].values, dataset.coords["patch_width"].values, strict=True
        )
        if height == height
    }
    if len(sizes) == 1:
        facts.append("patches of {:g} x {:g} px".format(*sizes.pop()))
    return facts + weights_facts(attrs, ["model"])
