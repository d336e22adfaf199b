"""Sums -> the labelled Dataset of dominant examples of one model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.cka_result import PairLayers, pair_dataset
from vitprobe.errors import say
from vitprobe.metrics.silence import NEVER
from vitprobe.passes.provenance import strings
from vitprobe.passes.reader import Ran

_ALIKE = "constant but for the examples left out"


def model_dataset(
    model: Mapping[str, Any], metrics: Mapping[str, Metric], facts: Mapping[str, Any], ran: Ran
) -> xr.Dataset:
    """What `vitprobe.dominant` returns.

    model: `layers` as `cka_result.described` gives it, and `picture`, the thumbnails' shape or
    None. metrics: `whole`, `without`, `share`, `top`, `of_layers`, `left_out`, `silence`.
    """
    whole, without = metrics["whole"], metrics["without"]
    silent, blank = metrics["silence"].reasons(), whole.blanks()[0]
    reasons = [first or second for first, second in zip(silent, blank, strict=True)]
    alike = without.blanks()[0]
    left = [why or (_ALIKE if than else "") for why, than in zip(reasons, alike, strict=True)]
    attributes = {**ran.attributes, **_left_out(metrics["left_out"], ran)}
    attributes["notes"] = "\n".join(ran.notes)
    layers = PairLayers.of(model["layers"], reasons)
    dataset = pair_dataset(layers, layers, whole.compute(), facts, attributes).drop_vars("hsic")
    found = pair_dataset(layers, layers, without.compute(), facts, {})
    dataset["cka_without"], dataset["cka_without_se"] = found["cka"], found["cka_se"]
    dataset["cka_without"].attrs["long_name"] = "centred kernel alignment of the examples kept"
    dataset["cka_without_se"].attrs["long_name"] = "standard error of cka_without"

    lost = torch.tensor([bool(why) for why in silent]) | (whole.first_bad != NEVER).cpu()
    share, error = torch.where(lost, torch.nan, metrics["share"].compute().cpu()).numpy()
    highest = metrics["of_layers"].compute()[:, 0].cpu()
    there = ~lost & (highest[:, 1] >= 0)
    norms = torch.where(there, highest[:, 0], torch.nan).numpy()
    dataset = dataset.assign(
        first_share=("layer", share),
        first_share_se=("layer", error),
        layer_example=("layer", torch.where(there, highest[:, 1], -1).long().numpy()),
        layer_norm=("layer", norms),
    ).assign_coords(
        layer=strings(layers.names),
        type=("layer", strings(layers.types)),
        block=("layer", strings(layers.blocks)),
        blank=("layer", strings(reasons)),
        blank_without=("layer", strings(left)),
    )
    told = {
        "first_share": "share of the first principal component",
        "first_share_se": "standard error of first_share",
        "layer_example": "number of the example with the largest norm",
        "layer_norm": "its squared norm / the mean of its batch",
    }
    for name, words in told.items():
        dataset[name].attrs["long_name"] = words
    return _with_examples(dataset, metrics["top"].compute().cpu(), model["picture"])


def _with_examples(dataset: xr.Dataset, rows: torch.Tensor, picture) -> xr.Dataset:
    """rows: as `Top` gives them: score, number, label, and the thumbnail's values."""
    rows = rows[rows[:, 1] >= 0]
    scores, numbers, labels = rows[:, :3].T
    dataset = dataset.assign(
        examples=("rank", numbers.long().numpy()),
        score=("rank", scores.numpy()),
        label=("rank", labels.long().numpy()),
    ).assign_coords(rank=np.arange(1, len(rows) + 1))
    dataset["examples"].attrs["long_name"] = "number in the data, from 0 in stored order"
    dataset["score"].attrs["long_name"] = "squared norm / mean of its batch, mean over layers"
    dataset["label"].attrs["long_name"] = "class, -1 where it is not known"
    if picture:
        values = rows[:, 3:].byte().reshape(-1, *picture).numpy()
        dataset["thumbnail"] = (("rank", "y", "x", "rgb"), values)
    return dataset


def _left_out(metric: Metric, ran: Ran) -> dict[str, int]:
    count = round(metric.compute().item())
    if not count:
        say(ran.notes, "no example was left out: both maps are the same; give a larger share")
    return {"examples_left_out": count // ran.passes}
