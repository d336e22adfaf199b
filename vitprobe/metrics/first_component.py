"""The share of the first principal component in a batch's variance, streamed over batches."""

import torch
from torch import Tensor
from torchmetrics import Metric

RESIDUAL = 1e-5  # |K v - l v| / l at which the largest eigenvalue l is taken
_EVERY = 8  # steps between two looks at the residual


def largest_eigenvalues(matrices: Tensor) -> Tensor:
    """The largest eigenvalue of each of many matrices, by Lanczos' method.

    A value l with |K v - l v| <= r is within r of an eigenvalue, and within r^2 / g where the next
    one is g away: with r = 1e-5 l it has some 8 digits or more unless the two largest
    are nearly the same.

    Args:
        matrices: (c, n, n) float64, symmetric, positive semi-definite.

    Returns:
        (c,) float64; NaN for a matrix that is not finite.
    """
    c, n, _ = matrices.shape
    if not c:
        return matrices.new_zeros(0)
    # a start that no eigenvector is orthogonal to, the same each time
    start = torch.randn(n, dtype=matrices.dtype, generator=torch.Generator().manual_seed(0))
    now = matrices @ start.to(matrices.device)[:, None]
    now = now / _norms(now)
    before, off = torch.zeros_like(now), now.new_zeros(c, 1, 1)
    diagonal, beside = [], []
    for step in range(1, n + 1):
        after = matrices @ now - off * before
        on = (after * now).sum(1, keepdim=True)
        after = after - on * now
        off = after.norm(dim=1, keepdim=True)
        diagonal.append(on[:, 0, 0])
        beside.append(off[:, 0, 0])
        before, now = now, after / _norms(after)
        if step % _EVERY == 0 or step == n:
            values, residuals = _ritz(diagonal, beside)
            good = (residuals <= RESIDUAL * values) | ~(values > 0)  # or NaN
            if bool(good.all()):
                break
    return values


class FirstShare(Metric):
    """Mean over batches, each as heavy as it has examples, of a share of several layers.

    A batch without a share at a layer (NaN because nothing varies) does not count there.

    Args:
        layers: how many. passes: how many times the batches go through the same examples.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, layers: int, *, passes: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.passes = passes
        # sums of w, w^2, w s, w^2 s, w^2 s^2, with w examples and a share s in each batch
        self.add_state("sums", torch.zeros(5, layers, dtype=torch.float64), "sum")
        self.add_state("batches", torch.zeros(layers, dtype=torch.int64), "sum")

    def update(self, shares: Tensor, n: int) -> None:
        """Add a batch of n examples: (layers,) float64."""
        there = ~shares.isnan()
        s, w = torch.where(there, shares, 0), there * float(n)
        self.sums += torch.stack([w, w * w, w * s, w * w * s, (w * s).square()])
        self.batches += there

    def compute(self) -> Tensor:
        """(2, layers) float64: means, and their standard errors over batches (NaN of one)."""
        w, ww, ws, wws, wwss = self.sums
        mean, count = ws / w, self.batches
        squares = (wwss - 2 * mean * wws + mean.square() * ww).clamp(min=0) / w.square()
        error = (self.passes * count / (count - 1) * squares).sqrt()
        return torch.stack([mean, torch.where(count > 1, error, torch.nan)])


def _norms(vectors: Tensor) -> Tensor:
    """(c, 1, 1), never 0."""
    return vectors.norm(dim=1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)


def _ritz(diagonal: list[Tensor], beside: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The largest eigenvalue of each tridiagonal matrix; how far it is from one of K, at most."""
    matrices = torch.diag_embed(torch.stack(diagonal, 1))
    if len(diagonal) > 1:
        matrices = matrices + torch.diag_embed(torch.stack(beside[:-1], 1), -1)
    finite = matrices.isfinite().all((1, 2))
    values, vectors = torch.linalg.eigh(torch.where(finite[:, None, None], matrices, 0))
    values = torch.where(finite, values[:, -1], torch.nan)
    return values, beside[-1] * vectors[:, -1, -1].abs()
