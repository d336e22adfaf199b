"""What the figures of probes share: curves of accuracy, reference lines, maps of tokens."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from vitprobe.errors import InputError

TEXT, SMALL = 8.0, 7.0  # pt
CHANCE = {"color": "0.45", "linestyle": (0, (1, 1.5)), "linewidth": 0.9}
OWN = (0, (4, 2))  # line of the model's own classifier
OWN_WORDS, CHANCE_WORDS = "its own classifier", "chance"
FEW = 8  # layers: below, each has a marker on the line, whatever it is


def check(dataset: xarray.Dataset) -> None:
    """Raise InputError for what is no result of `vitprobe.probe`."""
    if "accuracy" not in dataset or dataset["accuracy"].dims[:1] != ("layer",):
        raise InputError(
            "cannot plot this result: it has no 'accuracy' of layers; compute it again"
        )
    if not dataset["accuracy"].size:
        raise InputError("cannot plot this result: it holds no layers")


def each_token(dataset: xarray.Dataset) -> bool:
    """Whether every token has a probe of its own."""
    return "token" in dataset["accuracy"].dims


def spine(dataset: xarray.Dataset) -> np.ndarray:
    """Places of the layers that the line goes through: the first, outputs of blocks, and what
    follows the last block; all where there are no blocks."""
    outputs = dataset["block_output"].values.astype(str) if "block_output" in dataset else []
    blocks = np.flatnonzero(np.asarray(outputs) != "")
    if not len(blocks):
        return np.arange(dataset.sizes["layer"])
    after = np.arange(blocks[-1] + 1, dataset.sizes["layer"])
    return np.array(sorted({0, *blocks.tolist(), *after.tolist()}))


def curve(axes: Axes, dataset: xarray.Dataset, x: np.ndarray, colour) -> None:
    """Accuracy of one model in %: a line with a band of one standard error to either side through
    the outputs of blocks, and a dot for each layer in between."""
    values, errors = 100 * dataset["accuracy"].values, 100 * dataset["accuracy_se"].values
    line = spine(dataset)
    known = line[np.isfinite(values[line])]
    others = np.setdiff1d(np.arange(len(values)), line)
    axes.scatter(x[others], values[others], s=7, color=colour, alpha=0.45, linewidths=0, zorder=2)
    axes.fill_between(
        x[known],
        np.maximum(values[known] - errors[known], 0),
        np.minimum(values[known] + errors[known], 100),
        color=colour,
        alpha=0.18,
        lw=0,
        zorder=1,
    )
    axes.plot(x[line], values[line], color=colour, marker="o", markersize=3, linewidth=1.2)


def references(axes: Axes, datasets: Sequence[xarray.Dataset], colours: Sequence) -> list[Line2D]:
    """Lines of chance, and of each model's own classifier where its weights are no random ones;
    what the legend needs of them."""
    handles = []
    told = [float(each.attrs["chance"]) for each in datasets if "chance" in each.attrs]
    for chance in dict.fromkeys(round(value, 6) for value in told):
        axes.axhline(100 * chance, zorder=0, **CHANCE)
    if told:
        handles.append(Line2D([], [], label=CHANCE_WORDS, **CHANCE))
    own = False
    for dataset, colour in zip(datasets, colours, strict=True):
        value = dataset.attrs.get("own_accuracy")
        if value is not None and dataset.attrs.get("model_weights") != "random":
            axes.axhline(100 * float(value), color=colour, linestyle=OWN, linewidth=0.8, zorder=0)
            own = True
    if own:
        handles.append(Line2D([], [], color="0.3", linestyle=OWN, linewidth=0.8, label=OWN_WORDS))
    return handles


def limits(axes: Axes, datasets: Sequence[xarray.Dataset]) -> None:
    """Accuracy from 0 to 100 %."""
    axes.set_ylim(0, 103)
    axes.set_yticks([0, 20, 40, 60, 80, 100])
    axes.set_ylabel("accuracy of the probe, %", fontsize=TEXT)
    axes.tick_params(labelsize=SMALL, length=2.5, width=0.5)
    axes.grid(axis="y", linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    for side, edge in axes.spines.items():
        edge.set_linewidth(0.6)
        edge.set_visible(side in ("left", "bottom"))


def colours_of(count: int) -> Sequence:
    """One for each model."""
    colours = matplotlib.colormaps["tab10" if count <= 10 else "tab20"].colors
    return [colours[k % len(colours)] for k in range(count)]


def method(datasets: Sequence[xarray.Dataset]) -> list[str]:
    """How probes were made, as far as all results say the same."""
    found = []
    words = {
        "ridge": "ridge probes",
        "logistic": "logistic regression",
        "knn": "nearest neighbours",
    }
    for form, key in (
        ("{}", "solver"), ("tokens: {}", "tokens_asked"), ("pooled to {}", "pool"),
    ):  # fmt: skip
        values = [each.attrs.get(key, "") for each in datasets]
        if len({*map(str, values)}) == 1 and values[0]:
            found.append(form.format(words.get(values[0], values[0])))
    first = datasets[0].attrs
    if all(each.attrs.get("shots") == first.get("shots") for each in datasets) and first.get(
        "shots"
    ):
        draws = first.get("draws", 1)
        found.append(f"{int(first['shots'])} images a class, {int(draws)} draws")
        if first.get("convention"):
            found.append(f"convention of {first['convention']}")
    elif "examples_train" in first:
        found.append(f"{int(first['examples_train']):,} training images")
    if "examples_test" in first:
        found.append(f"{int(first['examples_test']):,} test images")
    errors = {str(each.attrs.get("accuracy_se_of", "")) for each in datasets} - {""}
    if len(errors) == 1:
        found.append(f"bands: standard error over {errors.pop()}")
    return found
