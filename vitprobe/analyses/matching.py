"""For each layer of one model its best match in another, of a result of CKA that is there."""

import numpy as np
import torch
import xarray as xr
from scipy.stats import t as student

from vitprobe.errors import InputError, option
from vitprobe.metrics.best_matches import best_matches
from vitprobe.passes.provenance import strings
from vitprobe.text import printable

_OTHER = {"a": "b", "b": "a"}


def match_layers(result: xr.Dataset, *, level: float = 0.95) -> xr.Dataset:
    """Each layer's best match in the other model, in both directions, and the models' similarity.

    An interval is cka +- t cka_se with Student's t of `se_df` degrees of freedom. A layer is
    `alike` where its interval overlaps that of the best match: it cannot be told from it. The
    errors of two cells of a row are correlated, by how much a result does not say; whatever it is,
    the error of their difference is at most the sum of theirs. So a layer that is not alike does
    differ, and one that is alike may differ all the same (`vitprobe.compare` keeps what it takes to
    say so).

    The best of many estimates is estimated too high, the more of them there are and the larger
    their errors: an interval is of that cell, not of the maximum.

    Args:
        result: of `vitprobe.cka`. With both models the same, a layer's match is another layer.
        level: of the intervals.

    Returns:
        Dataset; for side a, and likewise for b: `match_a` (the name, or ""), `cka_a`, `cka_se_a`,
        `low_a`, `high_a` (layer_a,), NaN where the layer is blank or there are no error bars;
        `alike_a` (layer_a, layer_b) bool, the best match included; where the result has a null,
        `p_value_a`, of the largest CKA of the row against the largest ones by chance. Scalars
        `mean_a` (over layer_a), `mean_b`, `similarity`, the mean of the two, and `mean_se_a`,
        `mean_se_b`, `similarity_se`, the means of the cells' standard errors, which the error of a
        mean is at most; of a model with itself 1 and 0. Attributes of `result`, and `level`.

    Raises:
        InputError: no result of CKA, or a level that is none.
    """
    check_cka(result, "this")
    if not 0 < level < 1:
        raise InputError(f"{option('level')} is between 0 and 1, such as 0.95, not {level:g}")
    df = float(result.attrs.get("se_df", 0))
    half = student.ppf((1 + level) / 2, df) if df > 0 else np.nan
    values, errors = (_numbers(result[name]) for name in ("cka", "cka_se"))
    same = result.attrs["model_a"] == result.attrs["model_b"]
    if same:  # the best match besides itself
        names = [result[f"layer_{side}"].values for side in "ab"]
        values = np.where(names[0][:, None] == names[1], np.nan, values)
    found = xr.merge(
        [_side(result, "a", values, errors, half), _side(result, "b", values.T, errors.T, half)]
    )
    for side in "ab":
        there = found[f"cka_{side}"].notnull().values
        means = {f"mean_{side}": f"cka_{side}", f"mean_se_{side}": f"cka_se_{side}"}
        for exact, (name, of) in zip((1.0, 0.0), means.items(), strict=True):
            mean = found[of].values[there].mean() if there.any() else np.nan
            found[name] = exact if same and there.any() else mean
    found["similarity"] = (found["mean_a"] + found["mean_b"]) / 2
    found["similarity_se"] = (found["mean_se_a"] + found["mean_se_b"]) / 2
    found.attrs = dict(result.attrs) | {"level": level}
    return found


def check_cka(result: xr.Dataset, name: str) -> None:
    """Raise InputError where what is called `name` is no result of `vitprobe.cka`."""
    if not isinstance(result, xr.Dataset) or result.attrs.get("analysis") != "cka":
        what = result.attrs.get("analysis") if isinstance(result, xr.Dataset) else None
        of = f"a result of {printable(what)}" if what else "no result"
        raise InputError(f"{name} is {of}, not of CKA: give one of vitprobe cka")
    for each in ("cka", "cka_se"):
        if each not in result or set(result[each].dims) != {"layer_a", "layer_b"}:
            raise InputError(f"{name} has no {each!r} over layer_a and layer_b: compute it again")
    if not {"model_a", "model_b"} <= result.attrs.keys() or not result["cka"].size:
        raise InputError(f"{name} does not say of which models it is: compute it again")


def _side(
    result: xr.Dataset, side: str, cka: np.ndarray, error: np.ndarray, half: float
) -> xr.Dataset:
    """The variables of the layers of one side: the rows of these."""
    found = best_matches(torch.from_numpy(np.ascontiguousarray(cka)), [cka.shape[1]])
    best, place = (each[:, 0].numpy() for each in found)
    rows = np.arange(len(best))
    own = np.where(place < 0, np.nan, error[rows, place])
    names = [str(name) for name in result[f"layer_{_OTHER[side]}"].values]
    width = half * np.nan_to_num(own, nan=0.0)[:, None] + half * error
    alike = best[:, None] - cka <= np.nan_to_num(width, nan=0.0)
    dim = f"layer_{side}"
    p_value = result.get(f"p_value_best_{side}")
    kept = [name for name in (f"block_{side}", f"blank_{side}") if name in result.coords]
    return xr.Dataset(
        {
            f"match_{side}": (dim, strings([names[k] if k >= 0 else "" for k in place])),
            f"cka_{side}": (dim, best),
            f"cka_se_{side}": (dim, own),
            f"low_{side}": (dim, best - half * own),
            f"high_{side}": (dim, best + half * own),
            **({} if p_value is None else {f"p_value_{side}": (dim, p_value.values)}),
            f"alike_{side}": ((dim, f"layer_{_OTHER[side]}"), alike),
        },
        {name: result[name] for name in (dim, f"layer_{_OTHER[side]}", *kept)},
    )


def _numbers(values: xr.DataArray) -> np.ndarray:
    return values.transpose("layer_a", "layer_b").values.astype(np.float64)
