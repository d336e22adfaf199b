"""What torch offers for the same results, set up as well as a user could."""

import math
import os
from contextlib import contextmanager

import torch


def full_precision() -> None:
    """What a fair comparison asks: float32 sums, no TF32 behind one's back, a large workspace.

    Call it before the first product: the workspace is chosen then.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":32768:1")  # KiB
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def tf32():
    """float32 products by TF32 inside."""
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


def matmul(x: torch.Tensor) -> torch.Tensor:
    """`x @ x.T` alone: neither shifted, centred nor packed; in the type of x."""
    return x @ x.T


def wide_matmul(x: torch.Tensor) -> torch.Tensor:
    """`x @ x.T` with a float32 result, where torch can give one without another pass."""
    if x.dtype == torch.float32:
        return x @ x.T
    if x.device.type == "cpu":
        return (x @ x.T).float()
    return torch.mm(x, x.T, out_dtype=torch.float32)


class CentredGram:
    """The whole in torch: mean-subtract, product (float32 out), U-centre, pack.

    The packed indices are made once, as a careful user would.
    """

    def __init__(self, n: int, device: str):
        i, j = torch.tril_indices(n, n, -1, device=device)
        self._places = i * n + j

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[0]
        k = wide_matmul(x - x.mean(0)).fill_diagonal_(0)
        row = k.sum(0) / (n - 2)
        k = k - row[:, None] - row[None, :] + row.sum() / (n - 1)
        return k.flatten()[self._places] * math.sqrt(2)


def exact_centred_gram(x: torch.Tensor, piece: int = 16_384) -> torch.Tensor:
    """The same vector in float64, from pieces of the columns."""
    from vitprobe.ops import reference

    n = x.shape[0]
    k = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    for part in x.split(piece, dim=1):
        rows = part.double()
        rows -= rows.mean(0)
        k.addmm_(rows, rows.T)
    i, j = torch.tril_indices(n, n, device=x.device)
    return reference.center_pack(k[i, j])


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    """Frobenius; NaN or Inf in `value` gives NaN or Inf."""
    return ((value.double() - expected).norm() / expected.norm()).item()
