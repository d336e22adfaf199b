"""A result of `vitprobe.cka` as its figures read it: values, layers, models."""

import numpy as np
import xarray

from vitprobe.errors import InputError
from vitprobe.figures.heatmap import Layers

ROUNDING = 1e-6  # by which a CKA may exceed 1: a layer with itself


def values_of(result: xarray.Dataset) -> np.ndarray:
    """CKA: (layers of a, layers of b).

    Raises:
        InputError: `cka` is missing, has other dimensions, or is empty.
    """
    if "cka" not in result or set(result["cka"].dims) != {"layer_a", "layer_b"}:
        raise InputError(
            "cannot plot this result: it has no 'cka' over layer_a and layer_b; compute it again"
        )
    values = result["cka"].transpose("layer_a", "layer_b").values
    if not values.size:
        raise InputError("cannot plot this result: it holds no layers; choose others with `layers`")
    return np.where((values > 1) & (values <= 1 + ROUNDING), 1.0, values)


def errors_of(result: xarray.Dataset) -> np.ndarray:
    """Standard errors of CKA, NaN where there are none: (layers of a, layers of b)."""
    if "cka_se" not in result:
        return np.full(result["cka"].transpose("layer_a", "layer_b").shape, np.nan)
    return result["cka_se"].transpose("layer_a", "layer_b").values


def layers_of(result: xarray.Dataset, side: str) -> Layers:
    """The layers of side `a` or `b`."""
    names = [str(name) for name in result[f"layer_{side}"].values]
    blocks = result.coords.get(f"block_{side}")
    return Layers(
        title=model_of(result, side),
        names=names,
        blocks=[""] * len(names) if blocks is None else [str(block) for block in blocks.values],
    )


def model_of(result: xarray.Dataset, side: str) -> str:
    """The model's label."""
    return str(result.attrs.get(f"model_{side}", f"model {side}"))


def bar_title(results: list[xarray.Dataset]) -> str:
    """`CKA (unbiased)`."""
    (estimator, *others) = {str(result.attrs.get("estimator", "")) for result in results}
    return "CKA" if others or not estimator else f"CKA ({estimator})"
