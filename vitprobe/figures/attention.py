"""How far the heads of a vision transformer look, layer by layer.

As Fig. 3 (and 4) of Raghu et al. 2021 (arXiv 2108.08810): heads in order of their mean distance for
the first two and the last two layers; then all heads against depth, and their entropy. The dashed
line is attention that is equal over all tokens.
"""

from collections.abc import Sequence

import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.attention_panels import (
    Span,
    distance_by_depth,
    entropy_by_depth,
    ranked_heads,
)
from vitprobe.figures.attention_scale import UNITS, chosen_unit, in_unit
from vitprobe.figures.style import (
    POINTS,
    Measure,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.figures.weights import weights_facts

PANELS = (ranked_heads, distance_by_depth, entropy_by_depth)
WIDTH, HEIGHT, ACROSS = 3.0, 2.5, 0.85  # inches: a panel of one model's figure, and between them


def figure(
    dataset: xarray.Dataset, normalize: str | None = None, *, title: str | None = None
) -> Figure:
    """Three panels of a result of `vitprobe.attention`, side by side.

    normalize: the unit of distances: `pixels` (also None), `uniform` (multiples of uniform
        attention's) or `diagonal` (of the image's).
    title: instead of what was done.

    Raises:
        InputError: `distance` or `entropy` is missing, or has other dimensions; no such unit.
    """
    check(dataset)
    unit = chosen_unit([dataset], normalize)
    dataset = in_unit(dataset, unit)
    drawn = new_figure()
    measure, span = text_measure(drawn), Span.of([dataset], UNITS[unit])
    tops = []
    for column, panel in enumerate(PANELS):
        axes = add_axes(drawn, column * (WIDTH + ACROSS), 0.0, WIDTH, HEIGHT)
        panel(axes, dataset, span, WIDTH, measure)
        tops.append(axes)
    above = 4 + max(legend_height(axes) for axes in tops)
    said = title_of([dataset]) if title is None else [title]
    write_title(tops[0], said, facts(dataset), above, 3 * WIDTH * POINTS, measure)
    fit_canvas(drawn)
    return drawn


def check(dataset: xarray.Dataset) -> None:
    """Raise InputError for what is no result of `vitprobe.attention`."""
    for name in ("distance", "entropy"):
        if name not in dataset or dataset[name].dims != ("layer", "head"):
            raise InputError(
                f"cannot plot this result: it has no {name!r} over layer and head; compute it again"
            )
    if not dataset["distance"].size:
        raise InputError("cannot plot this result: it holds no layers")


def legend_height(axes: Axes) -> float:
    """In pt; 0 where there is none."""
    if axes.get_legend() is None:
        return 0.0
    renderer = axes.figure.canvas.get_renderer()
    return axes.get_legend().get_window_extent(renderer).height * POINTS / axes.figure.dpi


def write_title(
    axes: Axes,
    title: Sequence[str],
    details: Sequence[str],
    above: float,
    longest: float,
    measure: Measure,
) -> None:
    """Title and details above the axes, from `above` pt upwards, in lines of `longest` pt."""
    for parts, style in (
        (details, {"fontsize": 7.5, "color": "0.3"}),
        (title, {"fontsize": 10.5, "color": "black"}),
    ):
        for line in reversed(wrap(parts, longest, style["fontsize"], measure)):
            above = add_line(axes, line, above, style)


def title_of(datasets: Sequence[xarray.Dataset]) -> list[str]:
    """What was done, on which images, as far as all results say the same."""
    one = f"Attention of {datasets[0].attrs.get('model', 'model')}"
    title = ["Attention" if len(datasets) > 1 else one]
    lists = [images_of(dataset) for dataset in datasets]
    return title + [fact for fact in lists[0] if all(fact in others for others in lists)]


def images_of(dataset: xarray.Dataset) -> list[str]:
    """Which images were looked at, as far as the result says."""
    attrs, found = dataset.attrs, []
    if "dataset" in attrs:
        found.append(str(attrs["dataset"]))
    if "examples" in attrs:
        found.append(f"{int(attrs['examples']):,} examples")
    return found


def facts(dataset: xarray.Dataset) -> list[str]:
    """What the numbers belong to, as far as the result says."""
    attrs, found = dataset.attrs, []
    if attrs.get("model_image_size"):
        found.append(f"images of {str(attrs['model_image_size']).replace(', ', ' x ')} px")
    sizes = {
        (float(height), float(width))
        for height, width in zip(
            dataset.coords["patch_height"].values, dataset.coords["patch_width"].values, strict=True
        )
        if height == height
    }
    if len(sizes) == 1:
        found.append("patches of {:g} x {:g} px".format(*sizes.pop()))
    return found + weights_facts(attrs, ["model"])
