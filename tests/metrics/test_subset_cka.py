"""CKA of subsets of parts from sums over the parts is CKA of the parts side by side."""

import itertools

import pytest
import torch

from vitprobe import ops
from vitprobe.metrics import CKA
from vitprobe.metrics.kernels import noise_floors, noise_scale
from vitprobe.metrics.silence import Silence
from vitprobe.metrics.subset_cka import SubsetCKA
from vitprobe.ops.reference import first_norms

PARTS, WIDTH, LAYERS = 3, 6, (5, 9)


def batches(sizes, dtype=torch.float32, parts=PARTS):
    """For each size n: parts (n, 6), unlike and of unlike scales, and layers (n, 5), (n, 9)."""
    draw = torch.Generator().manual_seed(0)
    for n in sizes:
        common = torch.randn(n, 4, generator=draw)
        xs = [
            common @ torch.randn(4, WIDTH, generator=draw) * 10.0**k
            + torch.randn(n, WIDTH, generator=draw)
            for k in range(parts)
        ]
        ys = [common.tanh() @ torch.randn(4, width, generator=draw) + 3 for width in LAYERS]
        yield [x.to(dtype) for x in xs], [y.to(dtype) for y in ys]


def filled(found, metric=None):
    metric = metric or SubsetCKA(PARTS, len(LAYERS))
    for xs, ys in found:
        vectors = torch.cat(
            [ops.centered_grams(xs, "unbiased")] + [ops.centered_grams([y], "unbiased") for y in ys]
        )
        norms = first_norms(xs) * noise_scale(xs[0].dtype, WIDTH)
        noise = torch.cat([noise_floors([y]) for y in ys])
        metric.update(vectors, norms, noise, len(xs[0]))
    return metric


def side_by_side(found, subset):
    metric = CKA(1, len(LAYERS))
    for xs, ys in found:
        metric.update([torch.cat([xs[part] for part in subset], 1)], ys)
    return metric


SUBSETS = [list(s) for k in (1, 2, 3) for s in itertools.combinations(range(PARTS), k)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_any_subset_as_of_the_parts_side_by_side(dtype):
    found = list(batches((12, 16, 9, 20), dtype))
    result = filled(found).of(SUBSETS)
    # one Gram of all features, or the sum of the parts' Grams: the type's rounding apart
    close = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-5}[dtype]
    for row, subset in enumerate(SUBSETS):
        wanted = side_by_side(found, subset).compute()
        for name in ("cka", "se", "hsic"):
            ours, theirs = getattr(result, name)[row], getattr(wanted, name)[0]
            torch.testing.assert_close(ours, theirs, rtol=close * 10, atol=close * 1e-2)
    assert result.df == 3


def test_order_of_batches_and_of_shares_does_not_matter():
    found = list(batches((12, 16, 9, 20)))
    whole, first, second = filled(found), filled(found[2:]), filled(found[:2])
    for name in whole._defaults:
        if name != "first_bad":
            total = getattr(first, name) + getattr(second, name)
            torch.testing.assert_close(total, getattr(whole, name), rtol=1e-12, atol=0)


def test_each_part_alone_is_what_compute_gives():
    metric = filled(batches((12, 16)))
    result, wanted = metric.compute(), metric.of([[0], [1], [2]])
    assert all(torch.equal(a, b) for a, b in zip(result[:3], wanted[:3], strict=True))


def test_one_batch_has_no_error():
    result = filled(batches((12,))).of(SUBSETS)
    assert result.cka.isfinite().all() and result.se.isnan().all()


def test_blanks_name_their_batch_or_say_constant():
    found = list(batches((12, 16, 9)))
    found[1][0][2][3] = torch.nan
    for xs, _ in found:
        xs[0][:] = xs[0][0]
    metric = filled(found)
    parts, layers = metric.blanks(SUBSETS)
    reasons = dict(zip(map(tuple, SUBSETS), parts, strict=True))
    assert reasons[(0,)] == "constant activations"
    assert reasons[(1,)] == reasons[(0, 1)] == "" and layers == ["", ""]
    assert {reasons[s] for s in reasons if 2 in s} == {"non-finite values (first in batch 1)"}
    blank = metric.of(SUBSETS).cka.isnan().all(1).tolist()
    assert blank == [bool(reason) for reason in parts]
    assert SubsetCKA(2, 1).blanks([[0, 1]]) == (["no batch of 4 examples"],) * 2


def test_silence_keeps_the_first_batch_in_any_order():
    metric = Silence(3)
    for silent, batch in (([2], 7), ([0, 2], 4), ([], 1), ([2], 9)):
        metric.update(silent, batch)
    assert metric.reasons() == ["did not fire in batch 4", "", "did not fire in batch 4"]
