"""Attention statistics on a GPU, by each kernel, against the reference in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from on_cuda import DEVICE, TYPES, exact
from whole_attention import case

from vitprobe import ops
from vitprobe.ops import reference_attention as reference
from vitprobe.ops.candidates import KINDS
from vitprobe.ops.tolerance import attention_error, attention_limit

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.each_kernel,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
    pytest.mark.usefixtures("attention_kernel", "poisoned_memory"),
]
few = settings(max_examples=40, deadline=None)


def tensors(case, dtype):
    """q, k and bias on the GPU, with the strides that they have in the case."""

    def on_gpu(x, kind):
        if x is None:
            return None
        broadcast = tuple(slice(0, 1) if step == 0 else slice(None) for step in x.strides)
        strides = [step // x.itemsize for step in x.strides]
        to = torch.empty_strided(x.shape, strides, dtype=kind, device=DEVICE)
        to[broadcast] = torch.from_numpy(x[broadcast].copy()).to(DEVICE, kind)
        return to

    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return on_gpu(case.q, dtype), on_gpu(case.k, dtype), on_gpu(case.bias, wide)


def expected(q, k, scale, grid, prefix, bias=None, patch=(16.0, 16.0)):
    """The five statistics and the row of token 0, computed in float64 and brought to the CPU."""
    bias = None if bias is None else bias.double()
    statistics, row = reference.attention_statistics(
        q.double(), k.double(), scale, *grid, prefix, bias, *patch, True
    )
    return statistics.cpu(), row.cpu()


def error(found, wanted, grid, patch=(16.0, 16.0)):
    """The largest, of distances in parts of the grid's diagonal, of entropies of log T."""
    statistics = torch.stack(found[:5])
    assert torch.equal(exact(statistics).isnan(), wanted[0].isnan())
    return attention_error((statistics, found.class_row), wanted, grid, patch)


def limit(dtype, q, k, scale):
    """What a kernel must keep to be chosen, too."""
    return attention_limit(KINDS[dtype], q, k, scale)


@few
@given(
    images=st.integers(1, 3),
    heads=st.sampled_from([(1, 1), (4, 1), (4, 2), (3, 3), (12, 1)]),
    depth=st.sampled_from([8, 16, 32, 48, 64, 80, 96, 112, 128]) | st.integers(1, 150),
    grid=st.tuples(st.integers(1, 20), st.integers(1, 20))
    | st.sampled_from([(14, 14), (32, 32), (40, 30)]),
    prefix=st.integers(0, 8),
    dtype=st.sampled_from(TYPES),
    bias=st.sampled_from(["", "full", "keys", "heads", "none left"]),
    size=st.sampled_from([0.3, 1.0, 3.0]),
    layout=st.sampled_from(["split", "plain", "odd"]),
    seed=st.integers(0, 2**31),
)
def test_every_shape(images, heads, depth, grid, prefix, dtype, bias, size, layout, seed):
    c = case(images, *heads, depth, grid, prefix, seed, size=size, bias=bias, layout=layout)
    q, k, b = tensors(c, dtype)
    arguments = (q, k, c.scale, grid, prefix, b)
    found = ops.attention_statistics(*arguments, patch_size=16.0, class_row=True)
    assert found.entropy.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert error(found, expected(*arguments), grid) < limit(dtype, q, k, c.scale)
    again = ops.attention_statistics(*arguments, patch_size=16.0, class_row=True)
    for one, other in zip(found, again, strict=True):
        assert torch.equal(one.nan_to_num(-1), other.nan_to_num(-1))


@pytest.mark.parametrize("dtype", TYPES)
def test_views_of_one_projection_are_read_in_place(dtype):
    qkv = torch.randn(4, 197, 3, 12, 64, device=DEVICE).to(dtype)
    q, k, _ = qkv.permute(2, 0, 3, 1, 4)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    found = ops.attention_statistics(q, k, 0.125, (14, 14), 1, patch_size=16.0)
    assert torch.cuda.max_memory_allocated() - before < qkv[:, :, 0].nbytes / 4
    wanted = expected(q, k, 0.125, (14, 14), 1)
    assert error(found, wanted, (14, 14)) < limit(dtype, q, k, 0.125)


def test_masks_of_booleans_and_of_the_other_float_types():
    q, k = torch.randn(2, 2, 4, 50, 32, device=DEVICE).bfloat16()
    keep = torch.rand(2, 1, 1, 50, device=DEVICE) > 0.3
    found = ops.attention_statistics(q, k, 0.2, (7, 7), 1, keep, patch_size=16.0)
    added = torch.zeros(keep.shape, device=DEVICE).masked_fill(~keep, -math.inf)
    wanted = expected(q, k, 0.2, (7, 7), 1, added)
    assert error(found, wanted, (7, 7)) < limit(q.dtype, q, k, 0.2)
    half = torch.randn(4, 50, 50, device=DEVICE).half()
    found = ops.attention_statistics(q, k, 0.2, (7, 7), 1, half, patch_size=16.0)
    assert error(found, expected(q, k, 0.2, (7, 7), 1, half), (7, 7)) < limit(q.dtype, q, k, 0.2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_many_tokens_take_little_memory(dtype):
    q, k = torch.randn(2, 1, 2, 128 * 128, 64, device=DEVICE).to(dtype)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    found = ops.attention_statistics(q, k, 0.125, (128, 128), 0)
    assert torch.cuda.max_memory_allocated() - before < 8 * 2**20
    wanted = torch.zeros(2, 2, dtype=torch.float64, device=DEVICE)
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1).to(DEVICE)
    for rows in torch.arange(128 * 128, device=DEVICE).split(2048):
        z = 0.125 * q[0, :, rows].double() @ k[0].double().mT
        p = z.softmax(-1)
        far = torch.cdist(places[rows], places, compute_mode="donot_use_mm_for_euclid_dist")
        wanted[0] += (p * far).sum((1, 2))
        wanted[1] -= (p * p.log()).sum((1, 2))
    wanted /= 128 * 128
    assert torch.allclose(found.distance_raw[0].double(), wanted[0], rtol=1e-5)
    assert torch.allclose(found.distance[0].double(), wanted[0], rtol=1e-5)
    assert torch.allclose(found.entropy[0].double(), wanted[1], rtol=1e-5)
    assert torch.allclose(found.mass, torch.ones_like(found.mass))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_numbers_reach_their_image_and_head_only(dtype, bad):
    q, k = torch.randn(2, 2, 3, 197, 64, device=DEVICE).to(dtype)
    k[1, 2, 77, 5] = bad
    found = ops.attention_statistics(q, k, 0.125, (14, 14), 1)
    wanted = torch.zeros(2, 3, dtype=torch.bool, device=DEVICE)
    wanted[1, 2] = True
    for statistic in found[:4]:
        assert torch.equal(statistic.isnan(), wanted)


def test_autocast_inference_mode_and_other_streams_change_nothing():
    q, k = torch.randn(2, 2, 3, 50, 64, device=DEVICE).bfloat16()
    once = ops.attention_statistics(q, k, 0.125, (7, 7), 1).entropy
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        assert torch.equal(ops.attention_statistics(q, k, 0.125, (7, 7), 1).entropy, once)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        there = ops.attention_statistics(q, k, 0.125, (7, 7), 1).entropy
    stream.synchronize()
    assert torch.equal(there, once)


def test_opcheck():
    q, k = torch.randn(2, 2, 2, 7, 16, device=DEVICE).bfloat16()
    bias = torch.zeros(2, 2, 7, 7, device=DEVICE)
    for operator in (
        torch.ops.vitprobe.attention_statistics.default,
        torch.ops.vitprobe.attention_statistics_fast.default,
    ):
        for added, row in ((None, False), (bias, True)):
            torch.library.opcheck(operator, (q, k, 0.25, 2, 3, 1, added, 1.0, 2.0, row))


def test_wrong_shapes_are_refused_by_the_operator_itself():
    q, k = torch.randn(2, 2, 2, 7, 16, device=DEVICE)
    operator = torch.ops.vitprobe.attention_statistics.default
    with pytest.raises(RuntimeError, match="grid is not that of the tokens"):
        operator(q, k, 0.25, 2, 2, 1, None, 1.0, 1.0, False)
    with pytest.raises(RuntimeError, match="q and k must be"):
        operator(q, k[:, :, :5], 0.25, 2, 3, 1, None, 1.0, 1.0, False)
    with pytest.raises(RuntimeError, match="bias must be"):
        operator(q, k, 0.25, 2, 3, 1, torch.zeros(2, 2, 7, 6, device=DEVICE), 1.0, 1.0, False)
