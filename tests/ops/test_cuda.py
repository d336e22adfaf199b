"""The CUDA kernels against the float64 reference. On a machine with a GPU:

pip install ".[test]" && pytest -m cuda
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from on_cuda import (
    DEVICE,
    ESTIMATORS,
    MARKS,
    TYPES,
    activations,
    error,
    exact,
    expect_centred,
    limit,
)

from vitprobe import ops
from vitprobe.ops import reference, tolerance

pytestmark = MARKS
few = settings(max_examples=40, deadline=None)


@few
@given(
    n=st.one_of(st.integers(4, 300), st.integers(257, 700)),
    p=st.one_of(st.integers(1, 100), st.integers(500, 5000)),
    gap=st.integers(0, 3),
    dtype=st.sampled_from(TYPES),
    estimator=st.sampled_from(ESTIMATORS),
    seed=st.integers(0, 2**31),
)
def test_random_shapes(n, p, gap, dtype, estimator, seed):
    x = activations(n, p + gap, dtype, ratio=1.0, seed=seed)[:, gap:]  # rows of any alignment
    gram = ops.gram(x)
    assert gram.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert error(gram, reference.gram(exact(x))) < limit(dtype)
    expect_centred(ops.center_pack(gram, estimator), gram, estimator, dtype)
    expect_centred(ops.centered_gram(x, estimator), reference.gram(exact(x)), estimator, dtype)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "p"), [(32, 4096), (127, 1025), (256, 20_001)])
def test_at_most_twice_the_error_of_torch(ratio, dtype, n, p):
    x = activations(n, p, dtype, ratio)
    expected = reference.centered_gram(exact(x))
    shifted = (exact(x) - exact(x).mean(0)).float().to(DEVICE)
    rows, columns = torch.tril_indices(n, n)
    torch_gram = (shifted @ shifted.T)[rows, columns]
    torch_error = error(reference.center_pack(torch_gram.double()).float(), expected)
    assert error(ops.centered_gram(x), expected) <= 2 * torch_error


def test_tf32_has_the_error_of_its_inputs(gram_kernel):
    x = activations(128, 20_000)
    expected = reference.centered_gram(exact(x))
    single = error(ops.centered_gram(x), expected)
    tf32 = error(ops.centered_gram(x, precision="tf32"), expected)
    assert (
        tf32 == single if gram_kernel == "simple" else 10 * single < tf32 < tolerance.limit("tf32")
    )


SHAPES = [
    *((n, p) for n in (4, 64, 65, 128, 129, 256, 257, 512, 1000) for p in (1, 63, 64, 65, 20_000)),
    *((n, 1_000_000) for n in (64, 256, 257)),  # several passes; in float64 gigabytes
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_blocks_and_slices_of_every_kind(n, p, dtype):
    x = activations(n, p, dtype, ratio=0.5)
    expected = reference.centered_gram(x.double()).cpu()
    assert error(ops.centered_gram(x), expected) < limit(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x[:, 1:],  # dense examples, rows apart
        lambda x: x[:, :, 1:3],  # not dense: copied
        lambda x: x.flatten(1).T.contiguous().T,  # examples last in memory: copied
        lambda x: x[::3],
        lambda x: x.flip(0)[2:],
    ],
)
def test_layouts(dtype, layout):
    x = layout(activations(50, 6 * 5 * 7, dtype, ratio=2.0).view(50, 6, 5, 7))
    assert error(ops.gram(x), reference.gram(exact(x))) < limit(dtype)
    assert error(ops.centered_gram(x), reference.centered_gram(exact(x))) < limit(dtype)


@pytest.mark.parametrize("p", [1, 511, 512, 513, 2049])
def test_every_feature_counts_once(p):
    x = torch.zeros(66, p, device=DEVICE)
    x[1::2] = 1.0
    signs = torch.full((66,), -0.5, dtype=torch.float64)
    signs[1::2] = 0.5
    rows, columns = torch.tril_indices(66, 66)
    assert torch.equal(exact(ops.gram(x)), p * (signs[rows] * signs[columns]))


def test_constant_features_give_exact_zeros():
    assert not ops.centered_gram(torch.full((77, 300), 1234.567, device=DEVICE)).any()


def test_more_tiles_than_the_workspace_holds():
    x = activations(3000, 5)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    vector = ops.centered_gram(x)
    extra = torch.cuda.max_memory_allocated() - before - vector.nbytes
    assert extra <= 32 * 2**20 + 4 * 3000 * 3001 + 2**20  # tiles, fp64 Gram, sums
    assert error(vector, reference.centered_gram(exact(x))) < limit(x.dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_values_reach_the_result(dtype, bad):
    x = activations(70, 700, dtype)
    x[41, 533] = bad
    assert not ops.gram(x).isfinite().any()
    assert not ops.centered_gram(x).isfinite().any()


@few
@given(
    la=st.integers(1, 300),
    lb=st.integers(1, 200),
    m=st.one_of(st.integers(1, 100), st.integers(500, 9000)),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    transposed=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_hsic_accumulate(la, lb, m, dtype, transposed, seed):
    a = activations(la, m + 1, dtype, seed=seed)[:, 1:]
    b = activations(lb, m, dtype, seed=seed + 1)
    acc = activations(*((lb, la) if transposed else (la, lb)), torch.float64)
    acc = acc.T if transposed else acc
    expected = exact(acc) + 2 * exact(a) @ exact(b).T
    for _ in range(2):
        assert ops.hsic_accumulate_(acc, a, b) is acc
    size = exact(a).norm() * exact(b).norm()  # a single sum may come to nearly nothing
    assert ((exact(acc) - expected).norm() / (exact(acc).norm() + size)).item() < limit(dtype)


@pytest.mark.parametrize("rows", [1, 64, 65, 330])
def test_hsic_accumulate_of_one_matrix_is_symmetric(rows):
    a = activations(rows, 8128)
    acc = torch.zeros(rows, rows, dtype=torch.float64, device=DEVICE)
    ops.hsic_accumulate_(acc, a, a)
    assert torch.equal(acc, acc.T)
    assert error(acc, exact(a) @ exact(a).T) < limit(a.dtype)
    apart = torch.zeros_like(acc)
    ops.hsic_accumulate_(apart, a, a.clone())
    assert torch.equal(acc.tril(), apart.tril())


@pytest.mark.parametrize("dtype", TYPES)
def test_three_runs_give_the_same_bits(dtype):
    x = activations(200, 30_000, dtype, ratio=3.0)
    vectors = [ops.centered_gram(x) for _ in range(3)]
    assert torch.equal(vectors[0], vectors[1]) and torch.equal(vectors[0], vectors[2])
    stacked = torch.stack(vectors).float()
    sums = [torch.zeros(3, 3, dtype=torch.float64, device=DEVICE) for _ in range(3)]
    for acc in sums:
        ops.hsic_accumulate_(acc, stacked, stacked.clone())
    assert torch.equal(sums[0], sums[1]) and torch.equal(sums[0], sums[2])


def test_runs_on_the_current_stream_without_waiting():
    x = activations(64, 2000)
    late = torch.zeros_like(x)
    acc = torch.zeros(1, 1, dtype=torch.float64, device=DEVICE)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)  # about 0.1 s: another stream would read zeros
        late.copy_(x)
        vector = ops.centered_gram(late)
        ops.hsic_accumulate_(acc, vector[None], vector[None])
        waited = stream.query()
    assert not waited  # the calls came back while the GPU slept
    stream.synchronize()
    expected = reference.centered_gram(exact(x))
    assert error(vector, expected) < limit(x.dtype)
    assert acc.item() == pytest.approx(expected.square().sum().item(), rel=1e-5)


def test_autocast_and_inference_mode_change_nothing():
    x = activations(40, 900)
    expected = ops.centered_gram(x)
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        assert torch.equal(ops.centered_gram(x), expected)


def test_opcheck():
    x = activations(9, 50)
    vectors = activations(3, 36)
    acc = torch.zeros(3, 3, dtype=torch.float64, device=DEVICE)
    torch.library.opcheck(torch.ops.vitprobe.gram.default, (x,))
    torch.library.opcheck(torch.ops.vitprobe.center_pack.default, (ops.gram(x), False))
    torch.library.opcheck(torch.ops.vitprobe.centered_gram.default, (x, True))
    torch.library.opcheck(torch.ops.vitprobe.centered_gram_fast.default, (x, True, False))
    torch.library.opcheck(torch.ops.vitprobe.centered_grams.default, ([x, x[:, 1:]], True))
    torch.library.opcheck(torch.ops.vitprobe.centered_grams_fast.default, ([x, x], False, True))
    for product in (
        torch.ops.vitprobe.hsic_accumulate_.default,
        torch.ops.vitprobe.hsic_accumulate_fast_.default,
    ):
        torch.library.opcheck(product, (acc, vectors, vectors.clone()))


def test_real_digits_give_the_cpu_kernels_numbers():
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images[:300].astype(np.float32))
    for estimator in ESTIMATORS:
        on_gpu = ops.centered_gram(images.to(DEVICE), estimator)
        assert error(on_gpu, exact(ops.centered_gram(images, estimator))) < limit(torch.float32)


def test_wrong_types_are_refused_by_the_operator_itself():
    a = activations(3, 36)
    with pytest.raises(RuntimeError, match="acc must be float64"):
        torch.ops.vitprobe.hsic_accumulate_.default(torch.zeros(3, 3, device=DEVICE), a, a)
    with pytest.raises(RuntimeError, match="float32 or float64 Gram"):
        torch.ops.vitprobe.center_pack.default(activations(1, 10, torch.bfloat16)[0], False)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU only")
def test_the_tensors_own_device_is_used():
    x = activations(64, 600).to("cuda:1")
    with torch.cuda.device(0):
        vector = ops.centered_gram(x)
    assert vector.device == x.device
    assert error(vector, reference.centered_gram(exact(x))) < limit(x.dtype)
