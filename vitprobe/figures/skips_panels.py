"""The panels of the skips figures: ratio and cosine along the layers, and a map of the tokens."""

from collections.abc import Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, NullLocator

from vitprobe.errors import InputError
from vitprobe.figures.attention_panels import LEGEND, short_names
from vitprobe.figures.heatmap import BLANK, set_ticks
from vitprobe.figures.labels import shorten, shorten_names, tick_labels
from vitprobe.figures.style import PLAIN, POINTS, Measure

KINDS = {"attention": "#08519c", "mlp": "#d94801", "block": "#238b45"}
GROUPS = {  # line and marker of each
    "patches": ("patches", "-", "o"),
    "cls": ("class token", (0, (4, 2)), "s"),
    "registers": ("registers", (0, (1, 1.5)), "^"),
}
QUANTITIES = {"ratio": "|skip| / |branch|", "cosine": "cosine of skip and branch"}
COLOURS = "RdBu_r"  # of ratios: blue where the long branch is larger, red where the skip is
TEXT, TICK = 8.0, 7.0  # pt
LONGEST = 72.0  # pt, of a name at an axis
MOST = 256  # cells of a map's row
SPECIAL, GAP = 0.045, 0.012  # of a map's width: a special token, and the gap behind them


def check(dataset: xarray.Dataset) -> None:
    """Raise InputError for what is no result of `vitprobe.skips`."""
    for name in QUANTITIES:
        if name not in dataset or dataset[name].dims != ("layer", "group"):
            raise InputError(
                f"cannot plot this result: it has no {name!r} over layer and group; compute it "
                "again"
            )
    if not dataset["ratio"].size:
        raise InputError("cannot plot this result: it holds no layers")


def curves(
    axes: Axes,
    dataset: xarray.Dataset,
    name: str,
    x: np.ndarray,
    group: str,
    kind: str,
    colour,
    line=None,
) -> bool:
    """One quantity of one group at the layers of one kind, with standard errors; whether there is
    anything. line: None: the group's."""
    rows = np.flatnonzero(dataset["kind"].values == kind)
    values = dataset[name].sel(group=group).values[rows]
    if not np.isfinite(values).any():
        return False
    errors = np.nan_to_num(dataset[f"{name}_se"].sel(group=group).values[rows])
    _, own, marker = GROUPS[group]
    axes.errorbar(
        x[rows],
        values,
        errors,
        color=colour,
        linestyle=own if line is None else line,
        marker=marker,
        markersize=3,
        linewidth=1.1,
        elinewidth=0.8,
    )
    return True


def by_layer(
    axes: Axes, dataset: xarray.Dataset, name: str, width: float, measure: Measure
) -> list[tuple[str, str]]:
    """A curve for each kind of layer and group of tokens; returns those drawn. width: inches."""
    x = np.arange(dataset.sizes["layer"])
    drawn = [
        (kind, group)
        for kind, colour in KINDS.items()
        for group in GROUPS
        if curves(axes, dataset, name, x, group, kind, colour)
    ]
    for layer in np.flatnonzero(np.isnan(dataset[name].values).all(1)):
        axes.axvspan(layer - 0.5, layer + 0.5, **BLANK)
    axes.set_xlim(-0.5, len(x) - 0.5)
    blocks = dataset["block"].values.tolist()
    known = list(dict.fromkeys(filter(None, blocks)))
    texts, pattern = _short(dataset["layer"].values.tolist(), measure)
    if len(known) > 1 and len(known) < len(x):
        short, pattern = _short(known, measure)
        of_block = dict(zip(known, short, strict=True))
        blocks, pattern = [of_block.get(block, "") for block in blocks], f"block: {pattern}"
    else:
        blocks = [""] * len(x)
        known = pattern.strip("*.") not in ("", "layer")
        pattern = f"layer: {pattern}" if known else "layer"
    labels = tick_labels(texts, blocks, width * POINTS, measure, along_x=True)
    set_ticks(axes.xaxis, labels, labels.size)
    axes.set_xlabel(shorten(pattern, width * POINTS, TEXT, measure), fontsize=TEXT, **PLAIN)
    axes.set_ylabel(QUANTITIES[name], fontsize=TEXT)
    return drawn


def scale(axes: Axes, datasets: Sequence[xarray.Dataset], name: str, groups: Sequence[str]) -> None:
    """The limits that hold all values: of ratios on a logarithmic axis, with a line where the two
    branches are equal."""
    values = [each[name].sel(group=list(groups)).values.ravel() for each in datasets]
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    if name == "ratio":
        known = known[known > 0]
        low, high = (known.min(), known.max()) if known.size else (1.0, 1.0)
        low, high = min(low, 0.8) / 1.25, max(high, 1.25) * 1.25
        axes.set_yscale("log")
        ticks = log_ticks(low, high)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low, high)
        axes.axhline(1, color="0.35", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    else:
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        room = 0.06 * max(high - min(low, 0), 0.2)
        axes.set_ylim(min(low, 0) - room, max(high, 0) + room)
        axes.axhline(0, color="0.35", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    axes.tick_params(labelsize=TICK, length=2.5, width=0.5)
    for side, spine in axes.spines.items():
        spine.set_linewidth(0.6)
        spine.set_visible(side in ("left", "bottom"))


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high on a logarithmic axis: 1, 2, 5, ..., more between them where
    these are fewer than three, powers of ten alone where they are many."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)

    def of(*steps: float) -> list[float]:
        found = (step * 10.0**decade for decade in decades for step in steps)
        return [float(f"{tick:g}") for tick in found if low <= tick <= high]

    found = of(1, 2, 5)
    if len(found) < 3:
        return of(1, 1.5, 2, 3, 4, 6, 8)
    if len(found) > 9:
        found = of(1)
    return found[:: -(-len(found) // 9)]


def write_legend(axes: Axes, drawn: Sequence[tuple[str, str]], blank: bool) -> None:
    """Above the axes: what colours and lines mean."""
    kinds, groups = (list(dict.fromkeys(column)) for column in zip(*drawn, strict=True))
    handles = [Line2D([], [], color=KINDS[kind], linewidth=1.6) for kind in kinds]
    texts = [{"mlp": "MLP"}.get(kind, kind) for kind in kinds]
    for group in groups if len(groups) > 1 or groups != ["patches"] else []:
        text, line, marker = GROUPS[group]
        style = {"linestyle": line, "marker": marker, "markersize": 3, "linewidth": 1.1}
        handles.append(Line2D([], [], color="0.25", **style))
        texts.append(text)
    if blank:
        handles.append(Patch(**BLANK))
        texts.append("no value (see blank)")
    axes.legend(handles, texts, loc="lower left", bbox_to_anchor=(0, 1), ncols=6, **LEGEND)


def colours_of(dataset: xarray.Dataset) -> LogNorm | None:
    """From the reciprocal of a ratio to it, so that 1 is in the middle; None: there are no maps."""
    parts = [
        dataset[name].values.ravel() for name in ("ratio_map", "ratio_special") if name in dataset
    ]
    known = np.concatenate(parts) if parts else np.array([])
    known = known[np.isfinite(known) & (known > 0)]
    if not known.size:
        return None
    most = max(float(np.exp(np.quantile(np.abs(np.log(known)), 0.99))), 1.25)
    return LogNorm(1 / most, most)


def has_map(dataset: xarray.Dataset, kind: str) -> bool:
    """Whether layers of this kind have a value for single tokens."""
    rows = dataset["kind"].values == kind
    return any(
        name in dataset and bool(np.isfinite(dataset[name].values[rows]).any())
        for name in ("ratio_map", "ratio_special")
    )


def token_map(
    axes: Axes, dataset: xarray.Dataset, kind: str, norm: LogNorm, height: float, measure: Measure
):
    """Layers of one kind upwards from the first; special tokens, then patches row by row. Of layers
    with fewer patches each is wider: above one another is what is at one height of the image.
    Returns the image, for a colour bar. height: inches."""
    rows = np.flatnonzero(dataset["kind"].values == kind)
    special = dataset["ratio_special"].values[rows] if "ratio_special" in dataset else None
    if special is not None and not np.isfinite(special).any():
        special = None
    count = 0 if special is None else special.shape[1]
    grids = [
        dataset["ratio_map"].values[
            row, : dataset["rows"].values[row], : dataset["columns"].values[row]
        ]
        for row in rows
    ]
    most = min(MOST, max(grid.size for grid in grids))
    patches = np.array([_stretched(grid.ravel(), most) for grid in grids])
    style = {"cmap": COLOURS, "norm": norm, "origin": "lower", "aspect": "auto"} | {
        "interpolation": "nearest"
    }
    axes.patch.set(**BLANK)
    image = axes.imshow(
        np.ma.masked_invalid(patches), extent=(0, 1, -0.5, len(rows) - 0.5), **style
    )
    places = "positions" if kind == "block" else "patches"
    left, ticks, texts = 0.0, [0.5], [f"{places}, row by row"]
    if count:
        left = -GAP - count * SPECIAL
        image = axes.imshow(
            np.ma.masked_invalid(special), extent=(left, -GAP, -0.5, len(rows) - 0.5), **style
        )
        axes.axvspan(-GAP, 0, color="white", linewidth=0)
        cls = int(dataset["tokens"].sel(group="cls").values[rows].max())
        names = ["cls"] * cls + ["reg"] * (count - cls)
        ticks = [left + (k + 0.5) * SPECIAL for k in range(count)] + ticks
        texts = (names if count == 1 else ["c"] * cls + ["r"] * (count - cls)) + texts
    axes.set_xlim(left, 1)
    axes.set_xticks(ticks, texts, fontsize=TICK)
    axes.tick_params(axis="x", length=0)
    names, _ = _short(dataset["layer"].values[rows].tolist(), measure)
    labels = tick_labels(names, [""] * len(rows), height * POINTS, measure, along_x=False)
    set_ticks(axes.yaxis, labels, min(labels.size, TICK))
    axes.set_title(
        {"attention": "attention", "mlp": "MLP", "block": "blocks"}[kind], fontsize=TEXT, pad=3
    )
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    return image


def _stretched(values: np.ndarray, width: int) -> np.ndarray:
    """(width,): each value repeated, or the means of neighbours where there are more."""
    if not values.size:
        return np.full(width, np.nan)
    if values.size <= width:
        return values[np.arange(width) * values.size // width]
    edges = np.linspace(0, values.size, width + 1).astype(int)
    known = np.isfinite(values)
    sums, counts = (
        np.add.reduceat(each, edges[:-1])
        for each in (np.where(known, values, 0.0), known.astype(int))
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _short(names: Sequence[str], measure: Measure) -> tuple[list[str], str]:
    """Names for an axis, without what all of them share, and the pattern that says it."""
    short, pattern = short_names(xarray.Dataset(coords={"layer": list(names)}), ticks=True)
    return shorten_names(short, LONGEST, TEXT, measure), pattern.removeprefix("layer: ")
