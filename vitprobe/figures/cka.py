"""The map of similarities (CKA) of every layer of one model with every layer of another.

As in Raghu et al. 2021 (arXiv 2108.08810) and Nguyen et al. 2020 (arXiv 2010.15327): the first
layers meet in the lower left corner, depth grows upwards (rows, model a) and to the right (columns,
model b), and the colours are magma's.
"""

import xarray
from matplotlib.figure import Figure

from vitprobe.figures.chance import under_line, words
from vitprobe.figures.cka_sides import bar_title, layers_of, values_of
from vitprobe.figures.facts import data_of, method_of
from vitprobe.figures.heatmap import heatmap


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """Heatmap of a result of `vitprobe.cka`: rows `layer_a`, columns `layer_b`, colours 0 to 1.

    Values outside 0..1 have the colour of the end, and the colour bar an arrow there. Blanks (NaN)
    are hatched on grey; pairs that are no more alike than chance (of a result with a null) have a
    dot. title: instead of what was done.

    Raises:
        InputError: `cka` is missing, has other dimensions, or is empty.
    """
    values = values_of(dataset)
    return heatmap(
        values,
        layers_of(dataset, "a"),
        layers_of(dataset, "b"),
        limits=(0.0, 1.0),
        bar_title=bar_title([dataset]),
        title=["CKA of layers", *data_of([dataset], ", ")] if title is None else [title],
        details=_details(dataset),
        blank="no value (see blank_a / blank_b)",
        dotted=under_line(dataset),
    )


def _details(dataset: xarray.Dataset) -> list[str]:
    """How the numbers were made, as far as the result says, and what the colours cannot show."""
    details = method_of([dataset], ", ")
    if "cka_se" in dataset and dataset["cka_se"].notnull().any():
        details.append(f"standard errors up to {float(dataset['cka_se'].max()):.2g}")
    if (dataset["cka"] < 0).any():
        details.append(f"lowest value −{-float(dataset['cka'].min()):.2g}")
    return details + words(dataset)
