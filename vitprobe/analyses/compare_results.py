"""Models against models, of results that are there: CKA of pairs, or some of the models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.analyses.compare_result import NAMES, OF_MODEL
from vitprobe.analyses.matching import check_cka, match_layers
from vitprobe.analyses.model_map import with_map
from vitprobe.errors import InputError
from vitprobe.passes.provenance import as_attribute, run_id, strings, versions
from vitprobe.text import printable

SAME = (  # of all results; what the numbers are of
    *("dataset", "split", "examples", "batch_size", "batches", "passes", "order", "seed"),
    *("ignore_orientation", "skip_bad_images", "dtype", "estimator", "kernel", "tokens"),
    "null_replicates",
)
BOUND = (
    "at most: the mean of the standard errors of the best matches, whose correlations are unknown"
)
_DROPPED = ("run", "notes", "incomplete", "tolerance")


def compare_results(
    results: Sequence[xr.Dataset], names: Sequence[str] | None = None
) -> xr.Dataset:
    """`vitprobe.compare` of results that are there, without models or images.

    Args:
        results: of `vitprobe.cka`, one for each pair of models (those of a model with itself add
            nothing); or of `vitprobe.compare`, of some of the models each. All of the same images.
        names: what they are called in errors: files.

    Returns:
        As `vitprobe.compare`. Of results of CKA without what only a pass over the images has:
        calibration, and layers by layers; `similarity_se` is then an upper bound (see
        `vitprobe.match_layers`), and so is `matched_se`.

    Raises:
        InputError: a result of something else, of other images, with other weights of one label;
            a pair of models that none is of; fewer than two models.
    """
    names = [f"result {k}" for k in range(1, len(results) + 1)] if names is None else list(names)
    if not results:
        raise InputError("no result was given: those of vitprobe cka, one for each pair of models")
    parts = [
        each if _is_compare(each) else _of_pair(each, name)
        for each, name in zip(results, names, strict=True)
    ]
    for part, name in zip(parts[1:], names[1:], strict=True):
        _check_same(parts[0], part, names[0], name)
    models = _models(parts, names)
    if len(models) < 2:
        raise InputError(
            f"{names[0]} is of one model, {printable(next(iter(models)))}: give results of pairs "
            "of models"
        )
    labels = list(models)
    return with_map(_filled(parts, labels, models, names))


def _is_compare(result: xr.Dataset) -> bool:
    found = isinstance(result, xr.Dataset) and result.attrs.get("analysis") == "compare"
    return (
        found and "similarity" in result and {"model", "model2"} == set(result["similarity"].dims)
    )


def _of_pair(result: xr.Dataset, name: str) -> xr.Dataset:
    """A result of CKA as one of two models, or of one."""
    check_cka(result, name)
    found, attrs = match_layers(result), result.attrs
    sides = "a" if attrs["model_a"] == attrs["model_b"] else "ab"
    pair, count = ("model", "model2"), len(sides)
    means, errors = np.ones((2, 2)), np.zeros((2, 2))
    means[0, 1], means[1, 0] = found["mean_a"], found["mean_b"]
    errors[0, 1], errors[1, 0] = found["mean_se_a"], found["mean_se_b"]
    there = [int(found[f"cka_{side}"].notnull().sum()) for side in "ab"]
    for k, some in enumerate(there):
        if not some:
            means[k, k] = errors[k, k] = np.nan
    matrices = {
        "similarity": (means + means.T) / 2,
        "similarity_se": (errors + errors.T) / 2,
        "matched": means,
        "matched_se": errors,
    }
    blank = [
        _reason(result, side) if not some else "" for side, some in zip("ab", there, strict=True)
    ]
    coordinates = {
        "model": strings([str(attrs[f"model_{side}"]) for side in sides]),
        "layers_compared": ("model", np.array(there[:count], dtype=np.int64)),
        "blank": ("model", strings(blank[:count])),
    }
    coordinates["model2"] = coordinates["model"]
    for key in OF_MODEL:
        texts = [str(attrs.get(f"model_{side}_{key}", "")) for side in sides]
        coordinates[key] = ("model", strings(texts))
    kept = {key: attrs[key] for key in (*SAME, "device", "se_df") if key in attrs}
    kept.pop("null_replicates", None)  # of cells; of similarities nothing is known
    for number, side in enumerate(sides, 1):
        kept |= {
            f"model_{number}{key.removeprefix(f'model_{side}')}": value
            for key, value in attrs.items()
            if key == f"model_{side}" or key.startswith(f"model_{side}_")
        }
    words = {
        side: (str(attrs.get(f"layers_{side}")), str(attrs.get(f"tokens_{side}"))) for side in sides
    }
    said = list(dict.fromkeys(f"{layers}" for layers, _ in words.values()))
    tokens = list(dict.fromkeys(token for _, token in words.values()))
    kept |= {"layers": " and ".join(said), "tokens": " and ".join(tokens), "se_method": BOUND}
    kept |= {"examples_planned": attrs.get("examples_planned", attrs.get("examples", 0))}
    variables = {
        key: (pair, value[:count, :count], {"long_name": NAMES[key]})
        for key, value in matrices.items()
    }
    return xr.Dataset(variables, coordinates, {**kept, "run": str(attrs.get("run", name))})


def _reason(result: xr.Dataset, side: str) -> str:
    reasons = [str(each) for each in result.get(f"blank_{side}", xr.DataArray([])).values]
    return next(filter(None, reasons), "no value")


def _check_same(first: xr.Dataset, other: xr.Dataset, one: str, two: str) -> None:
    for key in SAME:
        values = [_told(part.attrs.get(key)) for part in (first, other)]
        if values[0] != values[1]:
            word = {"dtype": "precision", "null_replicates": "number of permutations"}.get(key, key)
            raise InputError(
                f"{one} and {two} are not comparable: their {word.replace('_', ' ')} is "
                f"{values[0]} and {values[1]}; give results of the same images and options"
            )


def _told(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return printable(str(value), None) or "none"


def _models(parts: Sequence[xr.Dataset], names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Label -> the first part that has the model, and its place there."""
    found: dict[str, tuple[int, int]] = {}
    for k, part in enumerate(parts):
        for place, label in enumerate(map(str, part["model"].values)):
            if label not in found:
                found[label] = (k, place)
                continue
            first, there = found[label]
            for key in ("weights_sha256", "spec", "layers_compared"):
                values = [
                    _told(parts[of][key].values[at]) if key in parts[of].coords else "none"
                    for of, at in ((first, there), (k, place))
                ]
                if values[0] != values[1]:
                    what = {"weights_sha256": "weights", "layers_compared": "layers"}.get(key, key)
                    more = "" if key == "weights_sha256" else f" ({values[0]} and {values[1]})"
                    raise InputError(
                        f"{printable(label)} has other {what} in {names[first]} than in "
                        f"{names[k]}{more}: give results of the same models"
                    )
    return found


def _filled(
    parts: Sequence[xr.Dataset],
    labels: list[str],
    models: Mapping[str, tuple[int, int]],
    names: Sequence[str],
) -> xr.Dataset:
    """All pairs in one; the first result that has a pair gives its numbers."""
    count = len(labels)
    pair = ("model", "model2")
    keys = [key for key in NAMES if all(key in part for part in parts)]
    matrices = {key: np.full((count, count), np.nan) for key in keys if not key.startswith("best")}
    there = np.eye(count, dtype=bool)
    for part in reversed(parts):
        places = np.array([labels.index(str(label)) for label in part["model"].values])
        grid = np.ix_(places, places)
        there[grid] = True
        for key, matrix in matrices.items():
            matrix[grid] = part[key].transpose(*pair).values
    if not there.all():
        one, two = np.argwhere(~there)[0]
        raise InputError(
            f"no result is of {printable(labels[one])} and {printable(labels[two])}: every pair of "
            f"the {count} models is needed ({(~there).sum() // 2} of "
            f"{count * (count - 1) // 2} are missing)"
        )
    variables = {key: (pair, value, {"long_name": NAMES[key]}) for key, value in matrices.items()}
    coordinates: dict[str, Any] = {"model": strings(labels), "model2": strings(labels)}
    for key in ("layers_compared", "blank", *OF_MODEL):
        values = [parts[k][key].values[place] for k, place in models.values()]
        kind = np.int64 if key == "layers_compared" else object
        coordinates[key] = ("model", np.array(values, dtype=kind))
    dataset = xr.Dataset(variables, coordinates)
    dataset.attrs = _attributes(parts, models)
    return dataset


def _attributes(parts: Sequence[xr.Dataset], models: Mapping[str, tuple[int, int]]) -> dict:
    first = parts[0].attrs
    attrs: dict[str, Any] = {"analysis": "compare"}
    for number, (k, place) in enumerate(models.values(), 1):
        own = f"model_{place + 1}"
        attrs |= {
            f"model_{number}{key.removeprefix(own)}": value
            for key, value in parts[k].attrs.items()
            if key == own or key.startswith(f"{own}_")
        }
    attrs |= {
        key: value
        for key, value in first.items()
        if not key.startswith(("model_", "seconds_", "map_")) and key not in _DROPPED
    }
    attrs["analysis"] = "compare"
    runs = sorted({str(part.attrs.get("run", "")) for part in parts})
    notes = [line for part in parts for line in str(part.attrs.get("notes", "")).splitlines()]
    attrs["layers"] = as_attribute(
        list(dict.fromkeys(str(part.attrs.get("layers", "")) for part in parts))
    )
    attrs |= {"made_of": run_id({"runs": runs}), "results": len(parts)}
    attrs["run"] = run_id({"compare": runs})
    for key in ("seconds_data", "seconds_survey", "seconds_forward", "seconds_statistics"):
        if all(key in part.attrs for part in parts):
            attrs[key] = round(sum(float(part.attrs[key]) for part in parts), 4)
    attrs["notes"] = "\n".join(dict.fromkeys(notes))
    return {**attrs, **versions()}
