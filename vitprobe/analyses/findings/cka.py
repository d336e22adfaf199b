"""What CKA of layers shows: which layers of two models are alike, and how alike a model's own are.

Layers without a value, and the model's own output, do not count; halves are of the others.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import (
    Finding,
    Number,
    Question,
    compared,
    halves,
    sign,
    spoken,
)

WITHIN = Question("how alike are the layers of a model, from the bottom to the top?", "Fig. 1")
ACROSS = Question("which layers of two models are alike?", "Fig. 2")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each pair of models, and of each by itself."""
    kept = [_kept(result) for result in results]
    across = [each for each in kept if each.attrs["model_a"] != each.attrs["model_b"]]
    within = [each for each in kept if each.attrs["model_a"] == each.attrs["model_b"]]
    found = []
    for each in across:
        for one in (each, _turned(each)):
            found += _matches(one)
        found += _depths(each) + _chance(each)
    found += [one for each in within for one in _uniform(each)]
    return found + [one for pair in combinations(within, 2) for one in _more_uniform(*pair)]


def _kept(result: xr.Dataset) -> xr.Dataset:
    """Layers with values; without the output where there are others."""
    for side in "ab":
        other = "b" if side == "a" else "a"
        names = result[f"layer_{side}"].values
        there = result["cka"].notnull().any(f"layer_{other}").values
        if (inner := there & (names != "output")).any():
            there = inner
        result = result.isel({f"layer_{side}": np.flatnonzero(there)})
    return result


def _turned(result: xr.Dataset) -> xr.Dataset:
    """With the models in the other order."""
    names = {"layer_a": "layer_b", "layer_b": "layer_a"}
    turned = result[["cka", "cka_se"]].reset_coords(drop=True)
    turned = turned.rename(names).transpose("layer_a", "layer_b")
    swapped = {"model_a": result.attrs["model_b"], "model_b": result.attrs["model_a"]}
    return turned.assign_attrs(result.attrs | swapped)


def _matches(result: xr.Dataset) -> list[Finding]:
    """Which layers of model a the halves of model b are most like."""
    a, b, df = (result.attrs[key] for key in ("model_a", "model_b", "se_df"))
    names = [str(name) for name in result["layer_a"].values]
    cka, errors = _values(result)
    lower, upper = halves(cka.shape[1])
    found = []
    for what, part in (("lower", lower), ("upper", upper)):
        if not names or part.start == part.stop:
            continue
        means = [Number.mean(cka[i, part], errors[i, part]) for i in range(len(names))]
        best = int(np.nanargmax([mean.value for mean in means]))
        rivals = len(names) - 1
        near = [i for i, mean in enumerate(means) if not sign(means[best], mean, df, rivals)]
        others = [means[i] for i in range(len(names)) if i not in near]
        told = bool(others)
        if told:
            next_one = max(others, key=lambda mean: mean.value)
            where = f" with {names[best]}" if len(near) > 1 else ""
            sentence = (
                f"the {what} half of {b} is most like {spoken(names, near)} of {a} "
                f"(CKA {means[best]}{where}; the others: {next_one} at most)"
            )
        else:
            of = f"none of its {len(names)} layers is" if rivals else "there is none to be"
            sentence = (
                f"which layers of {a} the {what} half of {b} is most like cannot be told: {of} "
                f"told apart from the best, {names[best]} (CKA {means[best]})"
            )
        value, error = means[best].value, means[best].error
        found.append(Finding(sentence, ACROSS, (a, b), told, value, error))
    return found


def _chance(result: xr.Dataset) -> list[Finding]:
    """How many pairs of layers are more alike than chance, where there is a null."""
    if "null_line" not in result:
        return []
    a, b, alpha = (result.attrs[key] for key in ("model_a", "model_b", "null_alpha"))
    cka, line = result["cka"].values, result["null_line"].values
    there = np.isfinite(cka) & np.isfinite(line)
    count, above = int(there.sum()), int((cka > line)[there].sum())
    if not count:
        return []
    margin = np.where(there, cka - line, np.inf)
    i, j = np.unravel_index(np.argmin(margin), margin.shape)
    names = result["layer_a"].values[i], result["layer_b"].values[j]
    which = f"all {count:,}" if above == count else f"{above:,} of {count:,}"
    sentence = (
        f"{which} pairs of layers of {a} and {b} are more alike than those of two unrelated "
        f"networks (the least so: {names[0]} with {names[1]}, CKA {_plain(cka[i, j])} against "
        f"{_plain(line[i, j])}, which chance exceeds in {100 * alpha:g} % of cases)"
    )
    return [Finding(sentence, ACROSS, (a, b), True, above / count)]


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _depths(result: xr.Dataset) -> list[Finding]:
    """Whether the lower halves are more alike than the upper ones."""
    a, b = result.attrs["model_a"], result.attrs["model_b"]
    (low_a, up_a), (low_b, up_b) = map(halves, result["cka"].shape)
    if low_a.stop == 0 or low_b.stop == 0:
        return []
    cka, errors = _values(result)
    both = f"of {a} and {b} are"
    return [
        compared(
            ACROSS,
            (a, b),
            Number.mean(cka[low_a, low_b], errors[low_a, low_b]),
            Number.mean(cka[up_a, up_b], errors[up_a, up_b]),
            result.attrs["se_df"],
            more=f"the lower halves {both} more alike than the upper ones",
            less=f"the lower halves {both} less alike than the upper ones",
            whether=f"the lower halves {both} more alike than the upper ones",
            name="mean CKA",
        )
    ]


def _uniform(result: xr.Dataset) -> list[Finding]:
    """Whether layers of different halves are less alike than layers of the same half."""
    parts = _of_halves(result)
    model = result.attrs["model_a"]

    def said(word: str) -> str:
        return (
            f"layers of different halves of {model} are {word} alike than layers of the same half"
        )

    return [] if parts is None else [
        compared(
            WITHIN,
            (model,),
            *parts,
            result.attrs["se_df"],
            more=said("more"),
            less=said("less"),
            whether=said("less"),
            name="mean CKA",
        )
    ]  # fmt: skip


def _more_uniform(first: xr.Dataset, second: xr.Dataset) -> list[Finding]:
    one, other = (each.attrs["model_a"] for each in (first, second))
    parts = _of_halves(first), _of_halves(second)
    if None in parts:
        return []

    def said(word: str) -> str:
        return f"the lower and the upper half of {one} are {word} alike than those of {other}"

    return [
        compared(
            WITHIN,
            (one, other),
            parts[0][0],
            parts[1][0],
            min(first.attrs["se_df"], second.attrs["se_df"]),
            more=said("more"),
            less=said("less"),
            whether=said("more"),
            name="mean CKA",
        )
    ]


def _of_halves(result: xr.Dataset) -> tuple[Number, Number] | None:
    """Mean CKA of layers of different halves, and of different layers of the same half; None of
    models that have no two layers in a half."""
    cka, errors = _values(result)
    lower, upper = halves(len(cka))
    if lower.stop < 2:
        return None
    between = Number.mean(cka[lower, upper], errors[lower, upper])
    pairs = np.triu_indices(lower.stop, 1)
    within = [np.concatenate([x[part, part][pairs] for part in (lower, upper)]) for x in (
        cka, errors
    )]  # fmt: skip
    return between, Number.mean(*within)


def _values(result: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return result["cka"].values, result["cka_se"].values
