"""The map of similarities (CKA) of every layer of one model with every layer of another.

As in Raghu et al. 2021 (arXiv 2108.08810) and Nguyen et al. 2020 (arXiv 2010.15327): the first
layers meet in the lower left corner, depth grows upwards (rows, model a) and to the right (columns,
model b), and the colours are magma's.
"""

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.heatmap import Layers, heatmap
from vitprobe.figures.weights import weights_facts

ROUNDING = 1e-6  # by which a CKA may exceed 1: a layer with itself


def figure(dataset: xarray.Dataset) -> Figure:
    """Heatmap of a result of `vitprobe.cka`: rows `layer_a`, columns `layer_b`, colours 0 to 1.

    Values outside 0..1 have the colour of the end, and the colour bar an arrow there. Blanks (NaN)
    are hatched on grey.

    Raises:
        InputError: `cka` is missing, has other dimensions, or is empty.
    """
    if "cka" not in dataset or set(dataset["cka"].dims) != {"layer_a", "layer_b"}:
        raise InputError(
            "cannot plot this result: it has no 'cka' over layer_a and layer_b; compute it again"
        )
    values = dataset["cka"].transpose("layer_a", "layer_b").values
    if not values.size:
        raise InputError("cannot plot this result: it holds no layers; choose others with `layers`")
    values = np.where((values > 1) & (values <= 1 + ROUNDING), 1.0, values)
    estimator = dataset.attrs.get("estimator", "")
    return heatmap(
        values,
        _layers(dataset, "a"),
        _layers(dataset, "b"),
        limits=(0.0, 1.0),
        bar_title=f"CKA ({estimator})" if estimator else "CKA",
        title=_title(dataset.attrs),
        details=_details(dataset),
        blank="no value (see blank_a / blank_b)",
    )


def _layers(dataset: xarray.Dataset, side: str) -> Layers:
    names = [str(name) for name in dataset[f"layer_{side}"].values]
    blocks = dataset.coords.get(f"block_{side}")
    return Layers(
        title=str(dataset.attrs.get(f"model_{side}", f"model {side}")),
        names=names,
        blocks=[""] * len(names) if blocks is None else [str(block) for block in blocks.values],
    )


def _title(attrs: dict) -> list[str]:
    title = ["CKA of layers"]
    if "dataset" in attrs:
        title.append(str(attrs["dataset"]))
    if "examples" in attrs:
        title.append(f"{int(attrs['examples']):,} examples")
    return title


def _details(dataset: xarray.Dataset) -> list[str]:
    """How the numbers were made, as far as the result says, and what the colours cannot show."""
    attrs = dataset.attrs
    forms = {
        "estimator": "{} estimator",
        "kernel": "{} kernel",
        "tokens": "tokens: {}",
        "batch_size": "batches of {}",
    }
    details = weights_facts(attrs, ("model_a", "model_b"))
    details += [form.format(attrs[key]) for key, form in forms.items() if key in attrs]
    if "tokens_a" in attrs:
        details.append(
            "tokens: " + " and ".join(dict.fromkeys((attrs["tokens_a"], attrs["tokens_b"])))
        )
    if attrs.get("passes", 1) > 1:
        details.append(f"{attrs['passes']} passes")
    if "cka_se" in dataset and dataset["cka_se"].notnull().any():
        details.append(f"standard errors up to {float(dataset['cka_se'].max()):.2g}")
    if (dataset["cka"] < 0).any():
        details.append(f"lowest value −{-float(dataset['cka'].min()):.2g}")
    return details
