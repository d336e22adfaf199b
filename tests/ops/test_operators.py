"""What holds for every operator: registration, modes of torch, threads, NaN, wrong input."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference
from vitprobe.ops.library import why_no_cpu

pytestmark = pytest.mark.skipif(why_no_cpu() != "", reason=f"no CPU kernels: {why_no_cpu()}")

ESTIMATORS = pytest.mark.parametrize("estimator", ["unbiased", "biased"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_opcheck(activations, dtype):
    op = torch.ops.vitprobe
    x = activations(6, 40, dtype).reshape(6, 5, 8)
    torch.library.opcheck(op.gram.default, (x,))
    torch.library.opcheck(op.gram.default, (x.transpose(1, 2),))
    gram = ops.gram(x)
    vectors = activations(3, 15, gram.dtype)
    for biased in (False, True):
        torch.library.opcheck(op.centered_gram.default, (x, biased))
        torch.library.opcheck(op.centered_grams.default, ([x, x[:, 1:]], biased))
        torch.library.opcheck(op.center_pack.default, (gram, biased))
    acc = torch.zeros(3, 3, dtype=torch.float64)
    torch.library.opcheck(op.hsic_accumulate_.default, (acc, vectors, vectors.clone()))


def everything(x):
    """All operators on one input."""
    grams = [ops.gram(x), *(ops.centered_gram(x, e) for e in ("unbiased", "biased"))]
    vectors = torch.stack([ops.center_pack(ops.gram(x)), ops.centered_gram(x)])
    acc = torch.zeros(2, 2, dtype=torch.float64)
    together = ops.centered_grams([x, x[:, 1:], x[:, :1]])
    return [*grams, vectors, together, ops.hsic_accumulate_(acc, vectors, vectors)]


def expect_equal(left, right):
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(33, 777), (256, 4096), (64, 40_000), (600, 500)])
def test_same_bits_in_every_run_and_for_any_number_of_threads(activations, threads, shape, dtype):
    x = activations(*shape, dtype, ratio=1.0)
    expected = everything(x)
    for count in (1, 2, 3, 16):
        threads(count)
        for _ in range(2):
            expect_equal(everything(x), expected)


def test_modes_of_torch(activations):
    x = activations(20, 300, ratio=3.0)
    expected = everything(x)
    with torch.inference_mode():
        expect_equal(everything(x), expected)
        expect_equal(everything(x.clone()), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expect_equal(everything(x), expected)
    inside = everything(x.clone().requires_grad_())
    expect_equal(inside, expected)
    assert not any(result.requires_grad for result in inside)


def test_autocast_does_not_change_the_reference(activations):
    x = activations(20, 300)
    expected = reference.centered_gram(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(reference.centered_gram(x), expected)


def test_compiles_in_one_graph(activations):
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager", dynamic=True)
    for n in (6, 9):
        x = activations(n, 30)
        expect_equal(compiled(x), everything(x))


@ESTIMATORS
def test_fused_is_center_pack_of_gram(activations, estimator):
    x = activations(70, 1234, torch.float64)
    apart = ops.center_pack(ops.gram(x), estimator)
    assert torch.equal(ops.centered_gram(x, estimator), apart)
    torch.testing.assert_close(apart, reference.center_pack(reference.gram(x), estimator))


@ESTIMATORS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_many_at_once_are_each_alone(activations, dtype, estimator):
    x = activations(30, 7 * 5 * 6, dtype, ratio=2.0).reshape(30, 7, 5, 6)
    xs = [x, x[:, 1:], x[:, :1], x.to(memory_format=torch.channels_last), x[:, :, 1:3]]
    alone = torch.stack([ops.centered_gram(y, estimator) for y in xs])
    assert torch.equal(ops.centered_grams(xs, estimator), alone)
    assert torch.equal(
        reference.centered_grams(xs, estimator),
        torch.stack([reference.centered_gram(y, estimator) for y in xs]),
    )


def test_wrong_company(activations):
    x = activations(8, 5)
    with pytest.raises(ValueError, match="holds no activations"):
        ops.centered_grams([])
    with pytest.raises(ValueError, match="8 examples on cpu and of 7 examples on cpu"):
        ops.centered_grams([x, x[1:]])
    with pytest.raises(ValueError, match="of 8 examples on meta"):
        ops.centered_grams([x, x.to("meta")])
    with pytest.raises(TypeError, match="float32 and of torch.float64"):
        ops.centered_grams([x, x.double()])
    with pytest.raises(TypeError, match="must be float32"):
        ops.centered_grams([x, x.long()])
    with pytest.raises(ValueError, match="'fp32' or 'tf32', not 'fp16'"):
        ops.centered_grams([x], precision="fp16")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("place", [(0, 0), (7, 130), (39, 299)])
def test_not_finite_propagates(activations, bad, dtype, place):
    x = activations(40, 300, dtype)
    x[place] = bad
    for estimator in ("unbiased", "biased"):
        assert ops.centered_gram(x, estimator).isnan().all()
        assert reference.centered_gram(x, estimator).isnan().all()
    vectors = torch.ones(3, 50)
    vectors[1, 20] = bad
    acc = torch.zeros(3, 3, dtype=torch.float64)
    ops.hsic_accumulate_(acc, vectors, torch.ones(3, 50))
    assert acc.isfinite().tolist() == [[True] * 3, [False] * 3, [True] * 3]


@pytest.mark.parametrize("function", [ops.gram, ops.centered_gram])
def test_wrong_activations(function):
    for shape in ((3, 5), (0, 5), (4, 0), (8, 3, 0), (3,), ()):
        with pytest.raises(ValueError, match="examples|features"):
            function(torch.zeros(shape))
    for dtype in (torch.int64, torch.uint8, torch.bool, torch.complex64):
        with pytest.raises(TypeError, match="must be float32"):
            function(torch.zeros(8, 5, dtype=dtype))


def test_wrong_estimator(activations):
    for call in (ops.centered_gram, ops.center_pack):
        with pytest.raises(ValueError, match="'unbiased' or 'biased', not 'song'"):
            call(activations(8, 5), "song")


def test_wrong_gram(activations):
    for size in (0, 6, 9, 11, 37):  # 6: three examples
        with pytest.raises(ValueError, match=r"\(n\(n\+1\)/2,\)"):
            ops.center_pack(torch.zeros(size))
    with pytest.raises(ValueError, match="not of shape"):
        ops.center_pack(torch.zeros(10, 1))
    with pytest.raises(TypeError, match="float32 or float64"):
        ops.center_pack(torch.zeros(10, dtype=torch.float16))


def test_wrong_sums(activations):
    acc = torch.zeros(2, 3, dtype=torch.float64)
    a, b = activations(2, 10), activations(3, 10)
    for wrong in ((acc.T, a, b), (acc, a, b[:, 1:]), (acc, a[0], b), (acc[:1], a, b)):
        with pytest.raises(ValueError, match="must be"):
            ops.hsic_accumulate_(*wrong)
    for wrong in ((acc.float(), a, b), (acc, a.double(), b), (acc, a.half(), b.half())):
        with pytest.raises(TypeError, match="must"):
            ops.hsic_accumulate_(*wrong)
    with pytest.raises(ValueError, match="cpu.*meta"):
        ops.hsic_accumulate_(acc, a, b.to("meta"))
