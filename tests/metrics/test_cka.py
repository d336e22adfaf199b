"""CKA against numbers computed elsewhere, an independent float64 formula, and its own promises."""

import numpy as np
import pytest
import torch
from brute_force import hsic_1
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.metrics import CKA


def demo():
    """The pair of Google's representation-similarity demo: (100, 10) each."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return torch.from_numpy(x), torch.from_numpy(random.randn(100, 10) + x)


def streamed(x, y, batch_size, **options):
    metric = CKA(1, 1, **options)
    for a, b in zip(x.split(batch_size), y.split(batch_size), strict=True):
        metric.update([a], [b])
    return metric


@pytest.mark.parametrize(
    ("kernel", "estimator", "expected"),
    [
        ("linear", "biased", 0.5576132566),
        ("linear", "unbiased", 0.5134564895),
        ("rbf:0.5", "biased", 0.6548311823),
        ("rbf:0.5", "unbiased", 0.4192767510),
        ("rbf", "unbiased", 0.4192767510),
    ],
)
def test_googles_demo(kernel, estimator, expected):
    result = streamed(*demo(), 100, kernel=kernel, estimator=estimator).compute()
    assert result.cka.item() == pytest.approx(expected, abs=2e-10)


@pytest.mark.parametrize(("batch_size", "expected"), [(32, 0.50298), (25, 0.51327)])
def test_googles_demo_in_batches(batch_size, expected):
    assert streamed(*demo(), batch_size).compute().cka.item() == pytest.approx(expected, abs=5e-6)


def test_second_pair():
    x = torch.arange(50, dtype=torch.float64).reshape(10, 5)
    y = torch.sin(2 * torch.pi * x / 50)
    biased = streamed(x, y, 10, estimator="biased").compute().cka.item()
    unbiased = streamed(x, y, 10).compute().cka.item()
    assert biased == pytest.approx(0.631928945143, abs=1e-11)
    assert unbiased == pytest.approx(0.661773311159, abs=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(4, 23), min_size=1, max_size=4),
    p=st.integers(1, 40),
    q=st.integers(1, 40),
    seed=st.integers(0, 2**20),
)
def test_against_songs_formula_over_batches(sizes, p, q, seed):
    random = np.random.RandomState(seed)
    metric, xy, xx, yy, weight = CKA(1, 1), 0.0, 0.0, 0.0, 0
    for n in sizes:
        x = random.randn(n, p)
        y = random.randn(n, q) + x[:, :1]
        metric.update([torch.from_numpy(x)], [torch.from_numpy(y)])
        xy, xx, yy = (
            total + n * (n - 3) * hsic_1(*pair)
            for total, pair in ((xy, (x, y)), (xx, (x, x)), (yy, (y, y)))
        )
        weight += n * (n - 3)
    result = metric.compute()
    assert result.cka.item() == pytest.approx(xy / np.sqrt(xx * yy), rel=1e-9, abs=1e-9)
    assert result.hsic.item() == pytest.approx(xy / weight, rel=1e-9, abs=1e-9)


def test_independent_gaussians():
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(64 * 40, 1024, generator=generator)  # noqa: E731
    x, y = draw(), draw()
    biased = streamed(x, y, 64, estimator="biased").compute().cka.item()
    unbiased = streamed(x, y, 64).compute()
    assert biased == pytest.approx(1024 / (1024 + 64), abs=0.005)
    assert abs(unbiased.cka.item()) < 2 * unbiased.se.item() < 0.02


def test_uniform_data():
    """Uniform values, whose mean is not zero: nothing in common gives 0, all in common gives 1."""
    generator = torch.Generator().manual_seed(5)
    x, y = torch.rand(2, 64 * 20, 300, generator=generator)
    result = streamed(x, y, 64).compute()
    assert abs(result.cka.item()) < 2 * result.se.item() < 0.03
    assert streamed(x, 3 * x + 1, 64).compute().cka.item() == pytest.approx(1, abs=1e-6)
    biased = streamed(x, y, 64, estimator="biased").compute().cka.item()
    assert biased == pytest.approx(300 / (300 + 64), abs=0.01)


@pytest.mark.parametrize("ratio", [0, 1, 10, 100, 1e3, 1e4])
def test_large_means_in_float32(ratio):
    generator = torch.Generator().manual_seed(1)
    signal = torch.randn(64, 32, generator=generator, dtype=torch.float64)
    pair = []
    for _ in range(2):
        mix = torch.randn(32, 4096, generator=generator, dtype=torch.float64)
        noise = torch.randn(64, 4096, generator=generator, dtype=torch.float64)
        mean = torch.randn(4096, generator=generator, dtype=torch.float64)
        values = signal @ mix + noise
        pair.append((values + ratio * values.std() * mean).float())
    exact = streamed(*(x.double() for x in pair), 64).compute().cka.item()
    assert 0.9 < exact < 1
    assert streamed(*pair, 64).compute().cka.item() == pytest.approx(exact, abs=1e-4)


def test_invariances():
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(2, 60, 20, generator=generator, dtype=torch.float64)
    y = y + x
    base = streamed(x, y, 60).compute().cka.item()
    order = torch.randperm(60, generator=generator)
    rotation = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64)).Q
    for a, b in (
        (x[order], y[order]),
        (x @ rotation, y),
        (x * 1e-6, y * 1e6),
        (x + 37.0, y),
        (y, x),
    ):
        assert streamed(a, b, 60).compute().cka.item() == pytest.approx(base, abs=1e-10)
    assert streamed(x, x @ rotation, 60).compute().cka.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_the_scale_of_float32_activations_does_not_matter(scale):
    x, y = (z.float() for z in demo())
    expected = streamed(x, y, 25).compute()
    scaled = streamed(x * scale, y, 25).compute()
    assert scaled.cka.item() == pytest.approx(expected.cka.item(), abs=1e-6)
    assert scaled.se.item() == pytest.approx(expected.se.item(), rel=1e-4)


def test_shards_merge_to_one_pass():
    x, y = demo()
    whole = streamed(x, y, 20)
    first, second = streamed(x[:40], y[:40], 20), streamed(x[40:], y[40:], 20)
    first.merge_state(second)
    for a, b in zip(first.compute(), whole.compute(), strict=True):
        assert torch.equal(torch.as_tensor(a), torch.as_tensor(b)) or torch.allclose(a, b)


def test_within_one_list_and_across_two_agree():
    x, y = demo()
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(100, 3, 4, generator=generator, dtype=torch.float64)
    across, within = CKA(2, 1), CKA(3)
    for a, b, c in zip(x.split(20), y.split(20), z.split(20), strict=True):
        across.update([a, b], [c])
        within.update([a, b, c])
    big, block = within.compute(), across.compute()
    assert torch.allclose(big.cka[:2, 2:], block.cka, atol=1e-14)
    assert torch.allclose(big.se[:2, 2:], block.se, atol=1e-14)
    assert torch.allclose(big.cka, big.cka.T)
    assert torch.allclose(big.cka.diagonal(), torch.ones(3, dtype=torch.float64))
    assert big.se.diagonal().max() < 1e-7


def test_standard_error_is_the_influence_functions_sum():
    """psi_t computed batch by batch, not from the six accumulated sums."""
    x, y = demo()
    pairs = list(zip(x.split(20), y.split(20), strict=True))
    own = [
        [20 * 17 * hsic_1(a.numpy(), b.numpy()) for a, b in ((p, q), (p, p), (q, q))]
        for p, q in pairs
    ]
    xy, xx, yy = np.array(own).T
    r = xy.sum() / np.sqrt(xx.sum() * yy.sum())
    psi = xy / np.sqrt(xx.sum() * yy.sum()) - r / 2 * (xx / xx.sum() + yy / yy.sum())
    metric = streamed(x, y, 20)
    assert metric.compute().se.item() == pytest.approx(np.sqrt(5 / 4 * (psi**2).sum()), rel=1e-9)
    assert metric.compute().df == 4


def test_passes_repeat_the_examples_and_add_no_certainty():
    x, y = demo()
    metric = CKA(1, 1, passes=2)
    for _ in range(2):
        for a, b in zip(x.split(20), y.split(20), strict=True):
            metric.update([a], [b])
    once = streamed(x, y, 20).compute()
    twice = metric.compute()
    assert twice.cka.item() == pytest.approx(once.cka.item(), abs=1e-12)
    assert twice.df == once.df == 4
    assert twice.se.item() == pytest.approx(once.se.item() * np.sqrt(8 / 9), rel=1e-9)


def test_blanks_have_reasons():
    x, y = (z.float() for z in demo())
    metric = CKA(4)
    for i, (a, b) in enumerate(zip(x.split(20), y.split(20), strict=True)):
        b = b.clone()
        if i == 2:
            b[3, 4] = torch.nan
        overflow = a * (1e30 if i == 1 else 1)
        metric.update([a, b, torch.full((20, 7), 0.1), overflow])
    result = metric.compute()
    assert metric.blanks()[0] == [
        "",
        "non-finite values (first in batch 2)",
        "constant activations",
        "non-finite values (first in batch 1)",
    ]
    known = torch.tensor([True, False, False, False])
    assert torch.equal(result.cka.isfinite(), torch.outer(known, known))
    assert torch.equal(result.hsic.isfinite(), torch.outer(known, known))
    assert result.cka[0, 0].item() == pytest.approx(1)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_layer_constant_but_for_rounding_is_blank(kernel, dtype):
    generator = torch.Generator().manual_seed(4)
    row = torch.randn(1, 192, generator=generator)
    step = torch.finfo(dtype).eps / 4
    noise = 1 + step * torch.randn(32, 192, generator=generator)
    signal = row + 0.2 * torch.randn(32, 192, generator=generator)
    metric = CKA(2, kernel=kernel)
    for _ in range(2):
        metric.update([(row * noise).to(dtype), signal.to(dtype)])
    assert metric.blanks()[0] == ["constant activations", ""]


def test_small_batches_are_dropped_and_counted():
    x, y = demo()
    metric = CKA(1, 1)
    metric.update([x[:50]], [y[:50]])
    before = metric.compute().cka.item()
    metric.update([x[50:53]], [y[50:53]])
    assert metric.dropped == 3
    assert metric.compute().cka.item() == before


def test_one_batch_has_no_error_bar():
    result = streamed(*demo(), 100).compute()
    assert result.se.isnan().all()
    assert result.cka.isfinite().all()


def test_rbf_of_duplicates_and_constants():
    x, _ = demo()
    mostly_equal = x.clone()
    mostly_equal[:80] = mostly_equal[0]  # the median distance is 0
    metric = CKA(3, kernel="rbf", estimator="biased")
    metric.update([x, mostly_equal, torch.ones_like(x)])
    assert metric.blanks()[0] == ["", "", "constant activations"]
    assert 0 < metric.compute().cka[0, 1] < 1


def test_mixed_dtypes_in_one_batch():
    x, y = demo()
    exact = streamed(x, y, 50).compute().cka.item()
    mixed = CKA(1, 1)
    for a, b in zip(x.split(50), y.split(50), strict=True):
        mixed.update([a.float()], [b])
    assert mixed.compute().cka.item() == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel": "cosine"}, "unknown kernel"),
        ({"kernel": "rbf:-1"}, "positive number"),
        ({"kernel": "rbf:x"}, "positive number"),
        ({"estimator": "debiased"}, "unknown estimator"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(InputError, match=words):
        CKA(1, **options)


def test_wrong_updates():
    x = torch.randn(8, 3)
    with pytest.raises(ValueError, match="was given 1 and 2"):
        CKA(1, 1).update([x], [x, x])
    with pytest.raises(ValueError, match=r"\[7, 8\] examples"):
        CKA(2).update([x, x[:7]])
    with pytest.raises(TypeError):
        CKA(1).update([torch.ones(8, 3, dtype=torch.int64)])
