"""Attention statistics: against the float64 reference, and against numbers that are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe import ops
from vitprobe.ops import reference_attention as reference
from vitprobe.ops.library import why_no_cpu

pytestmark = pytest.mark.skipif(why_no_cpu() != "", reason=f"no CPU kernels: {why_no_cpu()}")

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
UNIFORM = {  # rows, columns, patch size -> mean distance of two patches, in pixels
    (14, 14, 16): 116.4922,
    (16, 16, 14): 116.5651,
    (7, 7, 32): 115.5029,
    (28, 28, 8): 116.7216,
    (8, 8, 4): 16.545931,
    (4, 4, 8): 16.064120,
    (12, 12, 4): 24.938230,
}


def exact(q, k, scale, grid, prefix, bias=None, patch_size=(1.0, 1.0)):
    """AttentionStatistics by the reference, in float64 of the very numbers that q and k hold."""
    if bias is not None:
        bias = torch.where(bias, 0.0, -torch.inf) if bias.dtype == torch.bool else bias
        bias = bias.double().expand(*q.shape[:3], q.shape[2])
    statistics, row = reference.attention_statistics(
        q.double(), k.double(), scale, *grid, prefix, bias, *patch_size, True
    )
    return ops.AttentionStatistics(*statistics.unbind(), row)


def expect_close(result, expected, rtol, atol=0.0):
    for name, ours, theirs in zip(result._fields, result, expected, strict=True):
        torch.testing.assert_close(
            ours.double(),
            theirs,
            rtol=0 if name == "left_out" else rtol,
            atol=0 if name == "left_out" else atol,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def tolerance(dtype):
    return (
        {"rtol": 1e-12, "atol": 1e-14} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    )


@st.composite
def problems(draw):
    """q, k (one of several layouts), grid, prefix, bias, patch size."""
    dtype = draw(st.sampled_from(DTYPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    images, key_heads, groups = draw(st.tuples(*[st.integers(1, 3)] * 3))
    grid = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    prefix, depth = draw(st.integers(0, 8)), draw(st.integers(1, 130))
    tokens = prefix + math.prod(grid)

    def numbers(*shape):
        return torch.randn(shape, generator=generator) * draw(st.sampled_from([0.1, 1.0, 2.0]))

    def laid_out(heads):
        layout = draw(st.sampled_from(["heads first", "tokens first", "numbers apart", "one head"]))
        if layout == "tokens first":
            return numbers(images, tokens, heads, depth).to(dtype).transpose(1, 2)
        if layout == "numbers apart":
            return numbers(images, heads, depth, tokens).to(dtype).transpose(2, 3)
        if layout == "one head":
            return (
                numbers(images, 1, tokens, depth + 3).to(dtype)[..., 3:].expand(-1, heads, -1, -1)
            )
        return numbers(images, heads, tokens, depth).to(dtype)

    q, k = laid_out(key_heads * groups), laid_out(key_heads)
    shape = [draw(st.sampled_from([1, size])) for size in (*q.shape[:3], tokens)]
    kind = draw(st.sampled_from(["none", "float", "half", "bool", "apart"]))
    bias = None
    if kind != "none":
        bias = numbers(*shape).masked_fill_(
            torch.rand(shape, generator=generator) < 0.3, -torch.inf
        )
        bias = bias.half() if kind == "half" else bias.isfinite() if kind == "bool" else bias
    if kind == "apart":
        bias = bias.transpose(2, 3).contiguous().transpose(2, 3)
    patch_size = draw(st.sampled_from([(1.0, 1.0), (16.0, 16.0), (2.0, 5.5)]))
    return q, k, grid, prefix, bias, patch_size


@given(problems())
@settings(max_examples=300, deadline=None)
def test_against_float64(problem):
    q, k, grid, prefix, bias, patch_size = problem
    scale = q.shape[3] ** -0.5
    expected = exact(q, k, scale, grid, prefix, bias, patch_size)
    result = ops.attention_statistics(
        q, k, scale, grid, prefix, bias, patch_size=patch_size, class_row=True
    )
    expect_close(result, expected, **tolerance(q.dtype))
    kind = torch.float64 if q.dtype == torch.float64 else torch.float32
    assert all(each.dtype == kind for each in result)
    assert ops.attention_statistics(q, k, scale, grid, prefix, bias).class_row is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [16, 64, 127])
@pytest.mark.parametrize(("grid", "prefix"), [((33, 40), 5), ((16, 24), 60)])
def test_many_tiles_of_keys(grid, prefix, dtype, depth):
    """More keys than a tile holds, their scores larger from tile to tile, or smaller; in the
    second grid the last tile holds no patch."""
    tokens = prefix + math.prod(grid)
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 3, tokens, depth, generator=generator) for _ in range(2))
    slope = torch.linspace(0, 1, tokens)[:, None]
    k = torch.stack([k[:, 0], k[:, 1] * 4 * slope, k[:, 2] * 4 * (1 - slope)], dim=1)
    q, k = q.to(dtype), k.to(dtype)
    bias = -10 * torch.rand(tokens, generator=generator)
    for given_bias in (None, bias):
        expected = exact(q, k, depth**-0.5, grid, prefix, given_bias)
        result = ops.attention_statistics(
            q, k, depth**-0.5, grid, prefix, given_bias, class_row=True
        )
        expect_close(result, expected, **tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns", "size"), UNIFORM)
def test_uniform_attention(rows, columns, size, dtype):
    published = UNIFORM[rows, columns, size]
    patches = rows * columns
    for prefix in (0, 1, 5):
        q = torch.zeros(1, 1, prefix + patches, 8, dtype=dtype)
        result = ops.attention_statistics(q, q, 1.0, (rows, columns), prefix, patch_size=size)
        mass = patches / (prefix + patches)
        assert result.distance.item() == pytest.approx(published, rel=1e-6)
        assert result.distance_raw.item() == pytest.approx(published * mass, rel=1e-6)
        assert result.mass.item() == pytest.approx(mass, rel=1e-6)
        assert result.entropy.item() == pytest.approx(math.log(prefix + patches), rel=1e-6)


def test_raw_distance_with_one_class_token():
    q = torch.zeros(2, 3, 197, 8)
    result = ops.attention_statistics(q, q, 1.0, (14, 14), 1, patch_size=16)
    assert (result.distance_raw - 115.9009).abs().max() < 6e-5


def test_uniform_attention_of_16k_tokens():
    rows, columns = 120, 136
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    pairs = (rows - y) * (columns - x) * (1 + (y > 0)) * (1 + (x > 0))
    expected = (pairs * torch.hypot(y.double(), x.double())).sum() / (rows * columns) ** 2
    q = torch.zeros(1, 1, rows * columns + 4, 1)
    result = ops.attention_statistics(q, q, 1.0, (rows, columns), 4)
    assert result.distance.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("prefix", [0, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_key_for_each_query(dtype, prefix):
    """Distance, mass and entropy of one-hot attention are exact, and so is who is left out."""
    grid = (5, 7)
    tokens = prefix + 35
    chosen = torch.randperm(tokens, generator=torch.Generator().manual_seed(1))
    k = torch.eye(tokens, dtype=dtype)[None, None]
    q = 10_000 * k[:, :, chosen]
    result = ops.attention_statistics(q, k, 1.0, grid, prefix, class_row=True)
    of_patches = chosen[prefix:]
    to_patches = of_patches >= prefix
    distances = reference.patch_distances(*grid, 1.0, 1.0)
    lengths = distances[torch.arange(35)[to_patches], of_patches[to_patches] - prefix]
    assert result.distance.item() == pytest.approx(lengths.mean().item(), rel=1e-6)
    assert result.distance_raw.item() == pytest.approx(lengths.sum().item() / 35, rel=1e-6)
    assert result.mass.item() == pytest.approx(len(lengths) / 35, rel=1e-6)
    assert result.entropy.item() == 0
    assert result.left_out.item() == 35 - len(lengths)
    assert torch.equal(
        result.class_row[0, 0], torch.eye(tokens, dtype=result.entropy.dtype)[chosen[0]]
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_queries_without_keys(dtype):
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 2, 14, 8, generator=generator).to(dtype) for _ in range(2))
    takes_part = torch.ones(14, 14, dtype=torch.bool)
    takes_part[[0, 4, 9]] = False  # nothing is left for these queries
    takes_part[6, 2:] = False  # only tokens that are no patches
    result = ops.attention_statistics(q, k, 0.3, (3, 4), 2, takes_part, class_row=True)
    expect_close(result, exact(q, k, 0.3, (3, 4), 2, takes_part), **tolerance(dtype))
    assert result.left_out.tolist() == [[3, 3]]
    assert not result.class_row.any()
    nothing = ops.attention_statistics(q, k, 0.3, (3, 4), 2, torch.zeros(14, 14, dtype=torch.bool))
    assert nothing.distance.isnan().all()
    assert nothing.left_out.tolist() == [[12, 12]]
    for zero in (nothing.distance_raw, nothing.mass, nothing.entropy):
        assert not zero.any()


def test_a_finite_bias_leaves_nothing_out():
    """The same finite number for all keys, however low, changes nothing."""
    q, k = torch.randn(2, 1, 1, 12, 8, generator=torch.Generator().manual_seed(0))
    lowest = torch.full((12, 12), torch.finfo(torch.float32).min)
    result = ops.attention_statistics(q, k, 1.0, (3, 4), 0, lowest, class_row=True)
    expect_close(result, exact(q, k, 0.0, (3, 4), 0), rtol=1e-6)  # the scores drown in it


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("token", [2, 30, 61])
@pytest.mark.parametrize("of_key", [False, True])
def test_not_finite_stays_in_its_image_and_head(dtype, of_key, token, bad):
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, 3, 62, 9, generator=generator).to(dtype) for _ in range(2))
    (k if of_key else q)[1, 2, token, 4] = bad
    result = ops.attention_statistics(q, k, 0.3, (10, 6), 2)
    expected = torch.zeros(2, 3, dtype=torch.bool)
    expected[1, 2] = True
    for value in result[:4]:
        assert torch.equal(value.isnan(), expected)


def test_reference_is_the_definition():
    """Sums written out, query by query and key by key."""
    generator = torch.Generator().manual_seed(0)
    rows, columns, prefix, height, width = 3, 4, 2, 2.0, 5.0
    q, k = (torch.randn(1, 2, 14, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    result = exact(q, k[:, :1], 0.7, (rows, columns), prefix, None, (height, width))
    for head in range(2):
        sums = [0.0] * 4
        for i in range(prefix, 14):
            weights = [math.exp(0.7 * float(q[0, head, i] @ k[0, 0, j])) for j in range(14)]
            p = [weight / sum(weights) for weight in weights]
            dist = mass = 0.0
            for j in range(prefix, 14):
                y = (i - prefix) // columns - (j - prefix) // columns
                x = (i - prefix) % columns - (j - prefix) % columns
                dist += p[j] * math.hypot(y * height, x * width)
                mass += p[j]
            entropy = -sum(each * math.log(each) for each in p)
            for at, value in enumerate((dist, dist / mass, mass, entropy)):
                sums[at] += value / 12
        assert [value[0, head].item() for value in result[:4]] == pytest.approx(sums, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_weights_give_the_same(dtype):
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, 3, 31, 8, generator=generator) for _ in range(2))
    p = reference.attention_weights(q, k, 0.5, None).to(dtype)
    grid, prefix, size = (4, 7), 3, (3.0, 2.0)
    dense = ops.dense_attention_statistics(p, grid, prefix, patch_size=size, class_row=True)
    expected = exact(q, k, 0.5, grid, prefix, None, size)
    error = {torch.bfloat16: 1e-2, torch.float16: 1e-3}.get(dtype, 1e-5)  # rounded weights
    expect_close(dense, expected, rtol=error, atol=error)
    assert ops.dense_attention_statistics(p, grid, prefix).class_row is None
