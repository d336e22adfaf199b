"""What compute-sanitizer is shown: between them the inputs reach every path of the fast kernels."""

import math

import pytest
import torch
from on_gpu import small_inputs
from on_gpu.small_inputs import ATTENTIONS, GRAMS, GROUP_FEATURES, GROUPS, Gram

HALVES = [torch.bfloat16, torch.float16]
FAST = [torch.float32, *HALVES]


def draw(case, dtype, device="meta"):
    """On the meta device a tensor that is moved is packed, as it is on its way to a GPU."""
    return case.draw(dtype, device, torch.Generator().manual_seed(0))


def alignment(x):
    """Of all rows, in bytes."""
    return math.gcd(x.storage_offset() * x.itemsize, x.stride(0) * x.itemsize, 16)


def rows_of(n):
    """Which block of the kernel takes n rows."""
    return next((rows for rows in (64, 128, 256) if n <= rows), "more")


@pytest.mark.parametrize("dtype", FAST)
def test_rows_of_every_alignment(dtype):
    found = {alignment(draw(case, dtype)) for case in GRAMS}
    assert found == {16, 4} | ({2} if dtype in HALVES else {8})


@pytest.mark.parametrize("dtype", FAST)
def test_aligned_rows_reach_every_size_of_block(dtype):
    aligned = {rows_of(case.n) for case in GRAMS if alignment(draw(case, dtype)) == 16}
    assert aligned == {64, 128, 256, "more"}


def test_a_slice_made_before_the_move_would_be_aligned():
    """What the check of alignment would miss, if it could."""
    x = torch.randn(65, 514).bfloat16()[:, 1:]
    assert x.to("meta").stride(0) == 513 and draw(Gram(65, 513, gap=1), x.dtype).stride(0) == 514


@pytest.mark.parametrize("dtype", HALVES)
def test_halves_are_shifted_in_every_size_of_block(dtype):
    shifted = set()
    for case in GRAMS:
        x = draw(case, dtype, "cpu").double()
        taken = x.mean(0).abs() > 4 * x.std(0, correction=0)
        shift = x.mean(0).to(dtype).double()
        exact = ((x - shift).to(dtype).double() == x - shift).all(0)
        if (taken & exact).any():
            shifted.add((rows_of(case.n), alignment(draw(case, dtype)) == 16))
    assert {(64, True), (128, True), (256, True), ("more", True), (256, False)} <= shifted


def test_more_rows_than_one_block_has():
    assert any(case.n > 256 and case.n % 64 for case in GRAMS)


@pytest.mark.parametrize("multiprocessors", [1, 132])
def test_two_passes(multiprocessors, host):
    long = small_inputs.grams(torch.float32, multiprocessors)[-1]
    resident = small_inputs.BLOCKS_EACH * multiprocessors
    assert host.RUN_STAGES == small_inputs.RUN_STAGES
    stages = -(-long.p * 4 // small_inputs.STAGE_BYTES)
    plan = host.plan_gram(long.n, stages, False, resident)
    assert len(plan["splits"]) == 2 * resident


def test_groups_of_every_size_of_block_and_alignment():
    found = set()
    for n, gap in GROUPS:
        for p in GROUP_FEATURES:
            found.add((rows_of(n), alignment(draw(Gram(n, p, gap), torch.bfloat16)) == 16))
    assert found == {(64, False), (128, True), (256, False), (256, True)}
    assert len(GROUP_FEATURES) > 1


def test_attention_with_and_without_a_bias_on_the_fast_kernel():
    fast = set()
    for case in ATTENTIONS:
        q, k, bias = draw(case, torch.bfloat16)
        assert q.stride(3) == 1 and (bias is not None) == case.biased
        if all(step * q.itemsize % 16 == 0 for step in (*q.stride()[:3], *k.stride()[:3])):
            fast.add((case.depth, case.biased))
    assert {(64, True), (64, False)} < fast and (20, True) not in fast
    assert {-(-depth // 32) for depth, _ in fast} == {1, 2, 3, 4}  # every kernel of D
    assert any(math.prod(case.grid) > 256 and case.biased for case in ATTENTIONS)
