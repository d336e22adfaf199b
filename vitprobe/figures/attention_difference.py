"""Where two results of attention differ: distances of the first minus the second, head by head."""

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.figures.attention import check, facts
from vitprobe.figures.attention_scale import chosen_unit, in_unit
from vitprobe.figures.facts import data_of
from vitprobe.figures.heatmap import Layers, heatmap
from vitprobe.figures.matched import (
    COLOURS,
    around_zero,
    common,
    error_words,
    only_in_one,
    range_words,
)

SHORT = {"pixels": " px", "uniform": " x uniform", "diagonal": " diagonals"}


def difference(
    first: xarray.Dataset,
    second: xarray.Dataset,
    normalize: str | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Heatmap of mean attention distances, layers (upwards) by heads; white is 0, red is more.

    Layers are matched by their names, heads by their numbers: which means something for two states
    of one model. What only one has is said.

    normalize: the unit of distances, as for `attention_compare.compare`.
    title: instead of what was done.

    Raises:
        InputError: no results of `vitprobe.attention`, no layers in common, no such unit.
    """
    both = [first, second]
    for each in both:
        check(each)
    unit = chosen_unit(both, normalize)
    labels = [str(each.attrs.get("model", "model")) for each in both]
    names = [[str(name) for name in each["layer"].values] for each in both]
    shared = common(*names, *labels)
    heads = [head for head in first["head"].values if head in second["head"].values]
    both = [in_unit(each, unit).sel(layer=shared, head=heads) for each in both]
    values = both[0]["distance"].values - both[1]["distance"].values
    errors = np.hypot(both[0]["distance_se"].values, both[1]["distance_se"].values)
    lists = [facts(each) for each in both]
    alike = [fact for fact in lists[0] if fact in lists[1]]
    own = [
        f"{label}: {fact}"
        for label, each in zip(labels, lists, strict=True)
        for fact in each
        if fact not in alike
    ]
    said = ["Difference of attention distance", *data_of(both, " minus ")]
    return heatmap(
        values,
        Layers(" minus ".join(dict.fromkeys(labels)), shared, [""] * len(shared)),
        Layers("head", [str(head) for head in heads], [""] * len(heads)),
        limits=around_zero(values),
        bar_title=f"difference ({SHORT[unit].strip()})",
        title=said if title is None else [title],
        details=[
            *alike,
            *own,
            *range_words(values, SHORT[unit]),
            *error_words(errors, both, SHORT[unit]),
            *only_in_one(*names, *labels),
        ],
        blank="no value in one of the two",
        colours=COLOURS,
    )
