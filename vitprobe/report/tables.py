"""Results as tables of pandas."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from vitprobe.analyses import match_layers
from vitprobe.errors import InputError

_OF_SIDE = ("match", "cka", "cka_se", "low", "high", "p_value")


def best_matches(result: xr.Dataset, level: float = 0.95) -> pd.DataFrame:
    """See `Accessor.best_matches`."""
    found = match_layers(result, level=level)
    frames = []
    for side, other in ("ab", "ba"):
        names = found[f"layer_{side}"].values
        columns = {"model": [str(found.attrs[f"model_{side}"])] * len(names), "layer": names}
        for name in _OF_SIDE:
            if f"{name}_{side}" in found:
                columns[name] = found[f"{name}_{side}"].values
        columns["alike"] = found[f"alike_{side}"].sum(f"layer_{other}").values
        frames.append(pd.DataFrame(columns))
    return frames[0] if _of_itself(result) else pd.concat(frames, ignore_index=True)


def rows(result: xr.Dataset) -> pd.DataFrame:
    """See `Accessor.to_pandas`."""
    if not result.data_vars:
        raise InputError("this result has no variables: compute it again")
    dims = next(iter(result.data_vars.values())).dims
    kept = [name for name, held in result.variables.items() if set(held.dims) <= set(dims)]
    inside = [name for name in kept if name not in dims and result[name].ndim]
    table = result[inside].to_dataframe(dim_order=list(dims)).reset_index()
    values = [name for name in table if name in result.data_vars]
    others = [name for name in table if name not in values and name not in dims]
    return table[[*dims, *values, *others]]


def _of_itself(result: xr.Dataset) -> bool:
    return result.attrs["model_a"] == result.attrs["model_b"]
