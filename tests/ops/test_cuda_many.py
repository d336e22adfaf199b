"""Many sites in a few launches, on a GPU: each has the vector of the float64 reference."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from on_cuda import ESTIMATORS, MARKS, TYPES, activations, exact, expect_centred

from vitprobe import ops
from vitprobe.ops import reference

pytestmark = MARKS
few = settings(max_examples=40, deadline=None)


@few
@given(
    n=st.one_of(st.integers(4, 260), st.sampled_from([64, 65, 128, 129, 256])),
    features=st.lists(
        st.one_of(st.integers(1, 100), st.integers(500, 70_000)), min_size=1, max_size=12
    ),
    dtype=st.sampled_from(TYPES),
    estimator=st.sampled_from(ESTIMATORS),
    seed=st.integers(0, 2**31),
)
def test_many_sites_together(n, features, dtype, estimator, seed):
    xs = [
        activations(n, p + k % 3, dtype, ratio=1.0, seed=seed + k)[:, k % 3 :]  # any alignment
        for k, p in enumerate(features)
    ]
    vectors = ops.centered_grams(xs, estimator)
    assert vectors.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for vector, x in zip(vectors, xs, strict=True):
        expect_centred(vector, reference.gram(exact(x)), estimator, dtype)
    assert torch.equal(ops.centered_grams(xs, estimator), vectors)


def test_more_sites_than_one_launch_takes():
    xs = [activations(50, 100 + k, seed=k) for k in range(300)]
    vectors = ops.centered_grams(xs)
    assert vectors.shape == (300, 50 * 49 // 2)
    for vector, x in zip(vectors, xs, strict=True):
        expect_centred(vector, reference.gram(exact(x)), "unbiased", x.dtype)


def test_a_site_too_large_for_company():
    xs = [activations(40, p, seed=p % 7) for p in (900, 6_000_000, 70)]
    for vector, x in zip(ops.centered_grams(xs), xs, strict=True):
        expect_centred(vector, reference.gram(exact(x)), "unbiased", x.dtype)
