"""Sums over images -> the labelled Dataset of checkpoints against the first of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.finetuning_cka import with_the_first
from vitprobe.metrics import CKA
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran

_OF_CHECKPOINT = ("spec", "weights", "weights_sha256")


def dataset_of(
    about: Mapping[str, Any], layers: Sequence[CKA], metrics: Mapping[str, Metric], ran: Ran
) -> xr.Dataset:
    """Names, reasons and provenance with the numbers.

    layers: the metric of each. metrics: all of the reader's.
    """
    facts, described = about["facts"][0], about["layers"]
    found = [[part.cpu().numpy() for part in with_the_first(metric)] for metric in layers]
    cka, error = (np.stack([pair[k] for pair in found], 1) for k in (0, 1))  # (checkpoint, layer)
    error[0] *= 0  # with itself: not even rounding
    dims = ("checkpoint", "layer")
    variables = {
        "cka": (dims, cka, {"long_name": "centred kernel alignment with the first checkpoint"}),
        "cka_se": (dims, error, {"long_name": "standard error of cka"}),
        "left_out_reason": ("left_out", strings(list(described["left_out"].values()))),
        "folded_into": ("folded", strings(list(described["folded"].values()))),
    }
    coordinates = {
        "checkpoint": strings(about["checkpoints"]),
        **{key: ("checkpoint", strings(_of_each(facts, key, len(cka)))) for key in _OF_CHECKPOINT},
        "layer": strings(described["names"]),
        "type": ("layer", strings(described["types"])),
        "block": ("layer", strings(described["blocks"])),
        "features": ("layer", np.array(described["features"], dtype=np.int64)),
        "blank": (dims, _blanks(about, layers, metrics["silence"].reasons())),
        "left_out": ("left_out", strings(list(described["left_out"]))),
        "folded": ("folded", strings(list(described["folded"]))),
    }
    if about["attention"] is not None:
        attention = _attention(about["attention"], len(cka), metrics, ran.passes)
        variables |= attention[0]
        coordinates |= attention[1]
    dataset = xr.Dataset(variables, coordinates)
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "estimator": "unbiased",
        "se_df": ran.batches / ran.passes - 1,
        "notes": "\n".join(ran.notes),
        **versions(),
    }
    return dataset


def _of_each(facts: Mapping[str, Any], key: str, count: int) -> list[str]:
    return [str(facts.get(f"model_{number}_{key}", "")) for number in range(1, count + 1)]


def _blanks(about: Mapping[str, Any], layers: Sequence[CKA], silent: Sequence[str]) -> np.ndarray:
    """(checkpoint, layer): why there is no value: of this checkpoint, or of the first, or ""."""
    count = len(about["checkpoints"])
    own = np.empty((count, len(layers)), object)
    for layer, metric in enumerate(layers):
        of_values = metric.blanks()[0]
        for k in range(count):
            left_out, row = about["left_out"][k][layer], layer * count + k
            own[k, layer] = left_out or silent[row] or of_values[k]
    first = [reason and f"{about['checkpoints'][0]}: {reason}" for reason in own[0].tolist()]
    for k in range(1, count):
        own[k] = [mine or reason for mine, reason in zip(own[k].tolist(), first, strict=True)]
    return np.stack([strings(row.tolist()) for row in own])


def _attention(
    about: Mapping[str, Any], count: int, metrics: Mapping[str, Metric], passes: int
) -> tuple[dict, dict]:
    """Variables and coordinates of attention distance, its mean over heads."""
    names, means = about["names"], metrics["distance"]
    result = means.compute()
    dims, shape = ("checkpoint", "attention_layer"), (count, len(names))
    distance, error = (
        values.reshape(shape).cpu().numpy() for values in (result.distance, result.distance_se)
    )
    reasons = zip(
        np.ravel(about["blanks"]).tolist(),
        metrics["attention_silence"].reasons(),
        means.blanks(),
        strict=True,
    )
    blank = strings([known or silent or value for known, silent, value in reasons])
    grids = [about["grids"].get(name, {}) for name in names]
    pixels = {"units": "px"}
    variables = {
        "distance": (
            dims,
            distance,
            {"long_name": "mean attention distance of what patches get, mean over heads"} | pixels,
        ),
        "distance_se": (
            dims,
            error * passes**0.5,  # a pass more shows no new images
            {"long_name": "standard error of distance over images"} | pixels,
        ),
    }
    coordinates = {
        "attention_layer": strings(names),
        "attention_block": ("attention_layer", strings(about["blocks"])),
        "attention_blank": (dims, blank.reshape(shape)),
        **{
            name: ("attention_layer", np.array([grid.get(name, unknown) for grid in grids]))
            for name, unknown in (
                ("rows", -1),
                ("columns", -1),
                ("patch_height", np.nan),
                ("patch_width", np.nan),
            )
        },
    }
    return variables, coordinates
