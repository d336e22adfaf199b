"""CKA through the operators against numbers from elsewhere."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe import ops
from vitprobe.ops import reference

BOTH = pytest.mark.parametrize(
    "of", [ops.centered_gram, reference.centered_gram], ids=["kernel", "reference"]
)


def demo():
    """The data of the demo in Google's representation-similarity repository."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return torch.from_numpy(x), torch.from_numpy(random.randn(100, 10) + x)


def sine():
    x = torch.arange(50, dtype=torch.float64).reshape(10, 5)
    return x, torch.sin(2 * torch.pi * x / 50)


@BOTH
@pytest.mark.parametrize(
    ("data", "estimator", "expected"),
    [
        (demo, "biased", 0.5576132566),
        (demo, "unbiased", 0.5134564895),
        (sine, "biased", 0.631928945143),
        (sine, "unbiased", 0.661773311159),
    ],
)
def test_published_values(cka, of, data, estimator, expected):
    x, y = data()
    assert cka([(x, y)], estimator, of) == pytest.approx(expected, abs=1e-10)
    assert cka([(x.float(), y.float())], estimator, of) == pytest.approx(expected, abs=1e-6)


@BOTH
@pytest.mark.parametrize(("size", "expected"), [(32, 0.50298), (25, 0.51327)])
def test_mini_batches(cka, of, size, expected):
    """The last batch of 32 has 4 examples; n(n-3) weights it."""
    x, y = demo()
    batches = list(zip(x.split(size), y.split(size), strict=True))
    assert cka(batches, of=of) == pytest.approx(expected, abs=5e-6)


@BOTH
@pytest.mark.parametrize("ratio", [30.0, 100.0, 1e3, 1e4])
def test_large_means(cka, of, ratio):
    """64 examples, 4096 features, a shared 32-dimensional signal, mean/std = ratio."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(64, 32, generator=generator)
    x, y = (
        signal @ torch.randn(32, 4096, generator=generator) / 32**0.5
        + 0.3 * torch.randn(64, 4096, generator=generator)
        + ratio
        for _ in range(2)
    )
    expected = cka([(x.double(), y.double())], of=reference.centered_gram)
    assert 0.95 < expected < 0.999
    assert cka([(x, y)], of=of) == pytest.approx(expected, abs=1e-4)


def test_independent_gaussians(cka):
    """64 examples, 1024 features: biased tends to D/(D+N); unbiased to 0."""
    generator = torch.Generator().manual_seed(0)
    pairs = [torch.randn(2, 64, 1024, generator=generator) for _ in range(20)]
    biased = [cka([pair], "biased") for pair in pairs]
    assert np.mean(biased) == pytest.approx(1024 / (1024 + 64), abs=2e-3)
    unbiased = np.array([cka([pair]) for pair in pairs])
    assert abs(unbiased.mean()) < 2 * unbiased.std(ddof=1) / len(pairs) ** 0.5


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(4, 120),
    p=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    biased=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_brute_force(hsic, activations, n, p, biased, seed):
    """Dot products of vectors are HSIC as the papers write it, whatever the sizes."""
    estimator = "biased" if biased else "unbiased"
    x, y = (activations(n, size, torch.float64, 1.0, seed + i) for i, size in enumerate(p))
    weight = 1 if biased else n * (n - 3)
    # Relative to the norms of the Gram matrices: U-centring 4 examples leaves little of them.
    scale = (hsic(x, x, True) * hsic(y, y, True)) ** 0.5 / weight
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-5)):
        v, w = (ops.centered_gram(z.to(dtype), estimator).double() for z in (x, y))
        assert (v @ w).item() / weight == pytest.approx(hsic(x, y, biased), abs=tolerance * scale)
