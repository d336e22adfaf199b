"""attention_statistics as an operator: modes of torch, threads, memory, wrong input."""

import subprocess
import sys

import pytest
import torch

from vitprobe import ops
from vitprobe.ops.library import why_no_cpu

pytestmark = pytest.mark.skipif(why_no_cpu() != "", reason=f"no CPU kernels: {why_no_cpu()}")

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def queries_and_keys(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for _ in range(2)]


def everything(q, k):
    """With and without a bias, as one list of tensors."""
    grid = (6, (q.shape[2] - 1) // 6)
    bias = k[:1, :1, :, 0].detach().float()[:, :, None]
    plain = ops.attention_statistics(q, k, 0.3, grid, 1, class_row=True)
    return [*plain, *ops.attention_statistics(q, k, 0.3, grid, 1, bias)[:5]]


def expect_equal(left, right):
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_opcheck(dtype):
    q, k = queries_and_keys(2, 4, 13, 6, dtype=dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    bias = torch.randn(4, 1, 13, dtype=wide).expand(2, 4, 13, 13)
    op = torch.ops.vitprobe.attention_statistics.default
    for arguments in (
        (q, k, 0.4, 3, 4, 1, None, 1.0, 1.0, False),
        (q, k, 0.4, 3, 4, 1, bias, 2.0, 1.0, True),
        (q, k[:, :2], 0.4, 2, 5, 3, None, 2.0, 1.0, True),
        (q.transpose(1, 2).contiguous().transpose(1, 2), k, 0.4, 12, 1, 1, None, 1.0, 1.0, True),
    ):
        torch.library.opcheck(op, arguments)


@pytest.mark.parametrize("shape", [(1, 1, 1441, 17), (2, 3, 601, 64), (8, 12, 61, 32)])
def test_same_bits_in_every_run_and_for_any_number_of_threads(threads, shape):
    q, k = queries_and_keys(*shape)
    expected = everything(q, k)
    for count in (1, 2, 3, 4):
        threads(count)
        for _ in range(2):
            expect_equal(everything(q, k), expected)


def test_modes_of_torch():
    q, k = queries_and_keys(2, 3, 61, 16)
    expected = everything(q, k)
    with torch.inference_mode():
        expect_equal(everything(q, k), expected)
        expect_equal(everything(q.clone(), k.clone()), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expect_equal(everything(q, k), expected)
    inside = everything(q.clone().requires_grad_(), k.clone().requires_grad_())
    expect_equal(inside, expected)
    assert not any(result.requires_grad for result in inside)


def test_autocast_does_not_change_the_reference():
    q, k = queries_and_keys(2, 3, 61, 16)
    arguments = (q, k, 0.3, 6, 10, 1, None, 1.0, 1.0, True)
    expected = ops.reference_attention.attention_statistics(*arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expect_equal(ops.reference_attention.attention_statistics(*arguments), expected)


def test_compiles_in_one_graph():
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    q, k = queries_and_keys(2, 3, 61, 16)
    expect_equal(compiled(q, k), everything(q, k))


MEMORY = """
import torch
from vitprobe import ops

def kilobytes(line):
    with open("/proc/self/status") as status:
        return next(int(each.split()[1]) for each in status if each.startswith(line))

torch.set_num_threads(2)
small = torch.randn(4, 2, 65, 64)
ops.attention_statistics(small, small, 0.125, (8, 8), 1)
q, k = torch.randn(2, 1, 12, 4097, 64)
bias = torch.randn(1, 4097).expand(12, 4097, 4097)
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = kilobytes("VmRSS")
ops.attention_statistics(q, k, 0.125, (64, 64), 1, bias, class_row=True)
print((kilobytes("VmHWM") - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of resident memory")
def test_memory_of_4097_tokens(tmp_path):
    """Under 50 MB, where one head's attention matrix alone would take 67."""
    # In an empty folder: the package that runs is the installed one, with its kernels.
    command = [sys.executable, "-W", "error", "-c", MEMORY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 50


def test_wrong_types():
    q, k = queries_and_keys(1, 2, 13, 4)
    for wrong in ((q.long(), k.long()), (q, k.double()), (q.half(), k)):
        with pytest.raises(TypeError, match="of one floating-point type, not torch"):
            ops.attention_statistics(*wrong, 1.0, (3, 4), 1)
    with pytest.raises(TypeError, match="bias must be floating point or boolean, not torch.int64"):
        ops.attention_statistics(q, k, 1.0, (3, 4), 1, torch.zeros(13, 13, dtype=torch.long))
    with pytest.raises(TypeError, match="p must be floating point, not torch.int64"):
        ops.dense_attention_statistics(torch.zeros(1, 1, 13, 13, dtype=torch.long), (3, 4), 1)


def test_wrong_shapes():
    q, k = queries_and_keys(2, 6, 13, 4)
    for wrong in ((q[0], k[0]), (q, k[:1]), (q, k[:, :, 1:]), (q, k[..., 1:])):
        with pytest.raises(ValueError, match=r"must be \(B, H, T, D\) and \(B, Hk, T, D\), not \("):
            ops.attention_statistics(*wrong, 1.0, (3, 4), 1)
    for heads in (0, 4, 5):
        with pytest.raises(ValueError, match=f"6 heads of q cannot share {heads} heads of k"):
            ops.attention_statistics(q, k[:, :heads], 1.0, (3, 4), 1)
    for grid, prefix in (((3, 4), 0), ((4, 4), 1), ((-3, -4), 1), ((0, 4), 13), ((7, 2), -1)):
        with pytest.raises(ValueError, match=f"a grid of {grid[0]} x {grid[1]} patches behind"):
            ops.attention_statistics(q, k, 1.0, grid, prefix)
        with pytest.raises(ValueError, match="is not 13 tokens"):
            ops.dense_attention_statistics(q[..., :1].expand(2, 6, 13, 13), grid, prefix)
    for shape in ((12, 13), (5, 13, 13), (1, 2, 6, 13, 13), (3, 1, 1, 13)):
        with pytest.raises(ValueError, match=r"does not broadcast to \(2, 6, 13, 13\)"):
            ops.attention_statistics(q, k, 1.0, (3, 4), 1, torch.zeros(shape))
    with pytest.raises(ValueError, match="on one device"):
        ops.attention_statistics(q, k.to("meta"), 1.0, (3, 4), 1)
    with pytest.raises(ValueError, match=r"p must be \(B, H, T, T\), not \(2, 6, 13, 4\)"):
        ops.dense_attention_statistics(q, (3, 4), 1)


def test_the_kernel_checks_for_itself():
    q, k = queries_and_keys(2, 6, 13, 4)
    op = torch.ops.vitprobe.attention_statistics.default
    rest = (1.0, 3, 4, 1, None, 1.0, 1.0, False)
    for wrong in (
        (q[0], k[0], *rest),
        (q, k[:, :4], *rest),
        (q, k.double(), *rest),
        (q.long(), k.long(), *rest),
        (q, k, 1.0, 3, 4, 0, *rest[4:]),
        (q, k, 1.0, 3, 4, 1, torch.zeros(13, 13), 1.0, 1.0, False),
        (q, k, 1.0, 3, 4, 1, torch.zeros(2, 6, 13, 13).double(), 1.0, 1.0, False),
    ):
        with pytest.raises(RuntimeError, match="expected|must"):
            op(*wrong)
