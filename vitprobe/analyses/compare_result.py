"""Sums -> the labelled Dataset of models against models."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitprobe.analyses.cka_null import ALPHA
from vitprobe.analyses.model_map import with_map
from vitprobe.errors import say
from vitprobe.metrics.best_matches import best_matches, symmetric
from vitprobe.metrics.model_cka import LEVEL, ModelCKA
from vitprobe.metrics.null import PermutedSums, calibrated
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran

OF_MODEL = ("spec", "weights", "weights_sha256")
PAIR, SITE = ("model", "model2"), ("site", "model2")
NAMES = {
    "similarity": "mean of both directions of matched",
    "similarity_se": "standard error of similarity",
    "matched": "mean over the layers of model of the CKA with their best match in model2",
    "matched_se": "standard error of matched",
    "null_mean": "mean of similarity with the examples of one model permuted",
    "null_line": "the line that a share of 5 % of permuted similarities is above",
    "p_value": "share of permuted similarities as large, add-one",
    "calibrated": "similarity above null_line, of what is possible",
    "best": "CKA of each layer with its best match in each model",
    "best_se": "standard error of best",
}
JACKKNIFE = "delete-a-group jackknife over batches, matches chosen anew"


class Null(NamedTuple):
    """Calibration of similarities: (M, M) float64 each."""

    null_mean: Tensor
    null_line: Tensor
    p_value: Tensor
    calibrated: Tensor


def null_similarity(cka: ModelCKA, permuted: PermutedSums) -> Null:
    """Similarities against those with the examples of one model permuted, maxima and all: what the
    choice of best matches gives by chance is in both."""
    norms, columns, begin, means = cka.norms(), list(range(len(cka.sums))), 0, []
    for count in cka.counts:
        rows = columns[begin : begin + count]
        again = permuted.pair(rows, columns) / torch.outer(norms[rows], norms)  # (K, rows, L)
        best = best_matches(again.flatten(0, 1), cka.counts)[0]
        means.append(best.unflatten(0, again.shape[:2]).nanmean(1))  # (K, M)
        begin += count
    null = torch.stack(means, 1)
    return Null(*calibrated(cka.compute().similarity, symmetric(null), ALPHA))


def dataset_of(
    about: Mapping[str, Any], cka: ModelCKA, silent: Sequence[str], null: Null | None, ran: Ran
) -> xr.Dataset:
    """Names, reasons and provenance with the numbers.

    silent: why each row did not fire, or "".
    """
    facts, layers = about["facts"][0], about["layers"]
    result = cka.compute()
    blank = [one or two for one, two in zip(silent, cka.blanks()[0], strict=True)]
    values = {name: getattr(result, name) for name in NAMES if hasattr(result, name)}
    values |= null._asdict() if null else {}
    arrays = {name: np.array(value.cpu().numpy(), copy=True) for name, value in values.items()}
    _exact(arrays)
    variables = {
        name: (SITE if name.startswith("best") else PAIR, array, {"long_name": NAMES[name]})
        for name, array in arrays.items()
    }
    names = [name for of_model in layers for name in of_model["names"]]
    place = result.place.cpu().numpy()
    chosen = [names[row] if row >= 0 else "" for row in place.ravel()]
    variables["match"] = (SITE, strings(chosen).reshape(place.shape))
    variables["alike"] = (("site", "site2"), result.alike.cpu().numpy())
    left = [
        (model, *pair)
        for model, of_model in zip(about["models"], layers, strict=True)
        for pair in of_model["left_out"].items()
    ]
    coordinates = _models(about, facts, blank) | _sites(about, blank)
    for column, name in enumerate(("left_out_model", "left_out_layer", "left_out_reason")):
        coordinates[name] = ("left_out", strings([row[column] for row in left]))
    dataset = xr.Dataset(variables, coordinates)
    for model, why in zip(about["models"], dataset["blank"].values.tolist(), strict=True):
        if why:
            say(ran.notes, f"{model}: no layer has a value ({why})")
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "se_df": result.df,
        "se_method": JACKKNIFE,
        "alike_level": LEVEL,
        "notes": "\n".join(ran.notes),
        **versions(),
    }
    return with_map(dataset)


def _exact(arrays: dict[str, np.ndarray]) -> None:
    """A model with itself: 1, with an error of 0; not even rounding."""
    for name, value in (("similarity", 1.0), ("matched", 1.0), ("calibrated", 1.0)):
        for key, exact in ((name, value), (f"{name}_se", 0.0)):
            if key in arrays:
                there = ~np.isnan(arrays[key].diagonal())
                np.fill_diagonal(arrays[key], np.where(there, exact, np.nan))


def _models(about: Mapping[str, Any], facts: Mapping[str, Any], blank: Sequence[str]) -> dict:
    """Coordinates along the models."""
    labels, begin, counts, reasons = about["models"], 0, [], []
    for of_model in about["layers"]:
        own = blank[begin : (begin := begin + len(of_model["names"]))]
        counts.append(sum(not reason for reason in own))
        reasons.append("" if counts[-1] else own[0])
    found = {
        "model": strings(labels),
        "model2": strings(labels),
        "layers_compared": ("model", np.array(counts, dtype=np.int64)),
        "blank": ("model", strings(reasons)),
    }
    for key in OF_MODEL:
        texts = [str(facts.get(f"model_{k}_{key}", "")) for k in range(1, len(labels) + 1)]
        found[key] = ("model", strings(texts))
    return found


def _sites(about: Mapping[str, Any], blank: Sequence[str]) -> dict:
    """Coordinates along the layers of all models."""
    layers = about["layers"]

    def column(key: str) -> list:
        return [value for of_model in layers for value in of_model[key]]

    models = [
        label
        for label, of_model in zip(about["models"], layers, strict=True)
        for _ in of_model["names"]
    ]
    return {
        "site_model": ("site", strings(models)),
        "site_layer": ("site", strings(column("names"))),
        "site_block": ("site", strings(column("blocks"))),
        "site_features": ("site", np.array(column("features"), dtype=np.int64)),
        "site_blank": ("site", strings(blank)),
    }
