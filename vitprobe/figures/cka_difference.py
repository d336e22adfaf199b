"""Where two results of CKA differ: a map of the first minus the second."""

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.figures.cka_sides import errors_of, layers_of, values_of
from vitprobe.figures.facts import data_of, method_of
from vitprobe.figures.heatmap import Layers, heatmap
from vitprobe.figures.matched import (
    COLOURS,
    around_zero,
    common,
    error_words,
    only_in_one,
    range_words,
)


def difference(
    first: xarray.Dataset, second: xarray.Dataset, *, title: str | None = None
) -> Figure:
    """Heatmap of CKA of the first result minus that of the second; white is 0, red is more.

    Layers are matched by their names; what only one has is said. title: instead of what was done.

    Raises:
        InputError: a result without CKA, or no layers in common.
    """
    values_of(first), values_of(second)
    sides, details = [], []
    for side in "ab":
        a, b = layers_of(first, side), layers_of(second, side)
        shared = common(a.names, b.names, a.title, b.title)
        details += only_in_one(a.names, b.names, a.title, b.title)
        blocks = dict(zip(a.names, a.blocks, strict=True))
        titles = dict.fromkeys([a.title, b.title])
        sides.append(Layers(" minus ".join(titles), shared, [blocks[name] for name in shared]))
    both = [
        each.sel(layer_a=list(sides[0].names), layer_b=list(sides[1].names))
        for each in (first, second)
    ]
    values = values_of(both[0]) - values_of(both[1])
    errors = np.hypot(*map(errors_of, both))
    said = ["Difference of CKA", *data_of(both, " minus ")]
    return heatmap(
        values,
        *sides,
        limits=around_zero(values),
        bar_title="difference of CKA",
        title=said if title is None else [title],
        details=[
            *method_of(both, " minus "),
            *range_words(values),
            *error_words(errors, both),
            *dict.fromkeys(details),
        ],
        blank="no value in one of the two",
        colours=COLOURS,
    )
