"""How each measure is streamed: what it needs of a batch, what is summed, what the sums give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses.measures_grams import CENTRED
from vitprobe.measures import Chosen
from vitprobe.measures.gulp import smoothers
from vitprobe.measures.procrustes import bures, factors_of, form_of
from vitprobe.measures.rsa import distances_of, settled, standing
from vitprobe.metrics import CKA
from vitprobe.metrics.batch_means import BatchMeans
from vitprobe.metrics.cka import products
from vitprobe.metrics.pooled_correlation import PooledCorrelation
from vitprobe.metrics.silence import NEVER

TOGETHER = ("cca", "svcca", "pwcca", "mutual_knn", "cknna")  # need all examples
_KERNELS = ("cka_biased", "cka_rbf")
_SIGNS = 2**24  # signs of differences at once


class Found(NamedTuple):
    """value, se: (count, count) float64. reasons: why a layer has none, or ""."""

    value: Tensor
    se: Tensor
    reasons: list[str]


def needs_all(measure: Chosen) -> bool:
    """Whether all examples are needed together."""
    return measure.name in TOGETHER


def is_kernel(measure: Chosen) -> bool:
    """Whether it is CKA with another kernel or estimator, whose vectors `CKA` sums."""
    return measure.name in _KERNELS


def kind_of(measure: Chosen) -> str | None:
    """Which Gram matrices of a batch it is made of; None: it takes none."""
    if needs_all(measure) or is_kernel(measure):
        return None
    distance = measure.options.get("distance", "")
    return distance if distance in ("cosine", "correlation") else CENTRED


def sums_of(measure: Chosen, count: int, passes: int) -> Metric:
    """The sums of a measure that works on batches, all zero."""
    options = measure.options
    if measure.name == "cka_biased":
        return CKA(count, estimator="biased", passes=passes)
    if measure.name == "cka_rbf":
        kernel = f"rbf:{options['fraction']!r}"
        return CKA(count, kernel=kernel, estimator=options["estimator"], passes=passes)
    if measure.name == "rsa" and options["correlation"] in ("pearson", "cosine"):
        centred = options["correlation"] == "pearson"
        return PooledCorrelation(count, centred=centred, passes=passes)
    return BatchMeans(count, passes=passes)


def update(
    measure: Chosen, sums: Metric, grams: Mapping[str, Tensor], constant: Tensor, batch: int
) -> None:
    """Add a batch to the sums.

    grams: of each kind, (count, n, n). constant: (count,) bool, layers that are so in this batch.
    """
    found = grams[kind_of(measure)]
    n, constant = found.shape[1], constant.to(found.device)
    if isinstance(sums, PooledCorrelation):
        values = distances_of(found, measure.options["distance"])
        sums.update(torch.where(constant[:, None], 0.0, values), batch)  # of no rounding
        return
    none = constant | ~found.flatten(1).isfinite().all(1)
    if none.any():
        alike = torch.eye(n, dtype=found.dtype, device=found.device)
        found = torch.where(none[:, None, None], alike, found)
    values = _values(measure, found)
    sums.update(torch.where(none[:, None] | none, torch.nan, values), n, batch)


def result_of(measure: Chosen, sums: Metric, reasons: list[str], constant: Tensor) -> Found:
    """What the sums give.

    reasons: why a layer has no value at all, or "". constant: (count,) int64, the first batch in
    which it was.
    """
    if isinstance(sums, CKA):
        result, own = sums.compute(), sums.blanks()[0]
        count = len(own)
        value, se = result.cka.reshape(count, count), result.se.reshape(count, count)
        return Found(value, se, [a or b for a, b in zip(reasons, own, strict=True)])
    value, se = sums.compute()
    count = len(reasons)
    value, se = value.reshape(count, count), se.reshape(count, count)
    told = [
        reason or (_why(measure, sums, row, int(constant[row])) if blank else "")
        for row, (reason, blank) in enumerate(zip(reasons, sums.blank().tolist(), strict=True))
    ]
    bad = torch.tensor([bool(reason) for reason in reasons], device=value.device)
    either = bad[:, None] | bad
    return Found(torch.where(either, torch.nan, value), torch.where(either, torch.nan, se), told)


def bytes_of_batch(measure: Chosen, count: int, n: int) -> int:
    """What `update` needs for a batch of n examples, beside Gram matrices and sums."""
    pairs = n * (n - 1) // 2
    if measure.name != "rsa":
        return 8 * (4 * count * n * n + count * count)
    signs = 4 * max(_SIGNS, count * pairs) if measure.options["correlation"] == "kendall" else 0
    return 8 * count * (2 * n * n + 4 * pairs + count) + signs


def _why(measure: Chosen, sums: Metric, row: int, constant: int) -> str:
    """constant: the first batch in which the layer was; 2**63 - 1: in none."""
    first = int(sums.first_bad[row])
    if first == NEVER:
        return "constant activations" if constant != NEVER else "all distances are the same"
    if constant <= first:
        return f"constant activations (first in batch {first})"
    if kind_of(measure) != CENTRED:
        distance = measure.options["distance"]
        return f"an example without {distance} distance (first in batch {first})"
    return f"no value (first in batch {first})"


def _values(measure: Chosen, grams: Tensor) -> Tensor:
    """Of one batch, (count, count)."""
    options = measure.options
    if measure.name == "gulp":
        made = smoothers(grams, options["regularisation"], options["scale"]).flatten(1)
        found = products(made)
        own = found.diagonal()
        return (own[:, None] + own - 2 * found).clamp(min=0)
    if measure.name in ("nbs", "procrustes"):
        return form_of(_all_bures(factors_of(grams)), measure.name, options["form"])
    vectors = distances_of(grams, options["distance"])
    if options["correlation"] == "kendall":
        return _kendall(settled(vectors))
    return products(standing(vectors, "spearman"))


def _all_bures(factors: Tensor) -> Tensor:
    count = len(factors)
    found = factors.new_ones(count, count)
    for row in range(count - 1):
        value = bures(factors[row], factors[row + 1 :])
        found[row, row + 1 :] = found[row + 1 :, row] = value
    return found


def _kendall(vectors: Tensor) -> Tensor:
    """tau-b of all rows (count, m) with each other: the cosine of the signs of all differences."""
    count, m = vectors.shape
    found = vectors.new_zeros(count, count)
    size = max(1, _SIGNS // (count * m))
    for begin in range(0, m, size):
        piece = vectors[:, begin : begin + size, None] - vectors[:, None, :]
        signs = piece.sign_().to(torch.float32).flatten(1)
        found += (signs @ signs.T).double()
    own = found.diagonal()
    return found / torch.outer(own, own).sqrt()


def described(measure: Chosen, batch_size: int) -> str:
    """How its batches are combined, in a few words: for a result's notes."""
    if needs_all(measure):
        return "all examples together, without a standard error"
    size = f" of {batch_size}" if batch_size else ""
    if measure.name == "cka_biased" or measure.options.get("estimator") == "biased":
        return f"sums over batches{size}, which depend on their size"
    if measure.name == "cka_rbf":
        return "sums over batches, each with a width of its own"
    if measure.name == "rsa" and measure.options["correlation"] in ("pearson", "cosine"):
        return "all pairs of examples within batches"
    return f"the mean over batches{size}, which depends on their size"


def facts_of(measures: list[Chosen]) -> dict[str, Any]:
    """As attributes of a result."""
    return {"measures": ", ".join(each.spec for each in measures)}
