"""Units in which attention distances of models with different images can be compared."""

import math
from collections.abc import Sequence

import numpy as np
import xarray

from vitprobe.errors import InputError, did_you_mean, option

# choice -> what the axis is called
UNITS = {
    "pixels": "mean attention distance\n(px)",
    "uniform": "mean attention distance\n(uniform attention = 1)",
    "diagonal": "mean attention distance\n(image diagonal = 1)",
}


def chosen_unit(datasets: Sequence[xarray.Dataset], normalize: str | None) -> str:
    """The choice; where none was made pixels, or the diagonal if images differ in size.

    Raises:
        InputError: no such choice.
    """
    if normalize is None:
        sizes = {dataset.attrs.get("model_image_size", "") for dataset in datasets}
        return "pixels" if len(sizes) <= 1 or "" in sizes else "diagonal"
    if normalize not in UNITS:
        near = did_you_mean(str(normalize), UNITS) or f": use {', '.join(UNITS)}"
        raise InputError(f"unknown {option('normalize')} {normalize!r}{near}")
    return normalize


def in_unit(dataset: xarray.Dataset, unit: str) -> xarray.Dataset:
    """The result with its distances, their errors and uniform attention's in that unit: pixels,
    multiples of uniform attention's distance in the same layer, or of the image's diagonal.

    Raises:
        InputError: the diagonal of images whose size the result does not tell.
    """
    if unit == "pixels":
        return dataset
    names = ("distance", "distance_se", "distance_uniform")
    uniform = dataset["distance_uniform"]
    by = uniform.where(uniform > 0) if unit == "uniform" else _diagonal(dataset)
    scaled = {name: dataset[name] / by for name in names}
    return dataset.assign({name: scaled[name] for name in names[:2]}).assign_coords(
        distance_uniform=("layer", np.asarray(scaled["distance_uniform"].values))
    )


def _diagonal(dataset: xarray.Dataset) -> float:
    sides = [part for part in str(dataset.attrs.get("model_image_size", "")).split(", ") if part]
    if not sides:
        model = dataset.attrs.get("model", "a model")
        raise InputError(
            f"this result does not tell the image size of {model}: "
            f"{option('normalize', 'uniform')} needs none"
        )
    return math.hypot(*(float(side) for side in (sides * 2)[:2]))
