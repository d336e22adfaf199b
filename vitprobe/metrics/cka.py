"""Centred kernel alignment of many layers at once, streamed over batches, with error bars."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe import ops
from vitprobe.metrics.kernels import linear_noise, noise_floors, vectoriser
from vitprobe.metrics.silence import NEVER
from vitprobe.ops.reference import first_norms

MINIMUM_EXAMPLES = 4
_SQUARES = 10  # (layers, layers) float64 that `compute` has at once; `update` has 4
_PACKED = 12  # Gram matrices of a batch in float64 that the Gaussian kernel has at once


class CKAResult(NamedTuple):
    """What `CKA.compute` returns; NaN marks a blank, `CKA.blanks` says why.

    cka: (La, Lb) float64, never clamped: a small negative value is honest.
    se: (La, Lb) float64, standard error of `cka`; NaN with a single batch.
    hsic: (La, Lb) float64, HSIC_1 (or HSIC_0 where biased).
    df: degrees of freedom of Student's t for an interval cka +- t se.

    torchmetrics turns a 1 x 1 matrix into a scalar.
    """

    cka: Tensor
    se: Tensor
    hsic: Tensor
    df: float


class CKA(Metric):
    """CKA of every layer of a list with every layer of another, streamed (Nguyen et al. 2020).

    Each batch and layer becomes one vector v with <v_a, v_b> = n(n-3) HSIC_1(a, b) (Song et al.
    2012, eq. 5); with S the sum of these products over batches, CKA_ab = S_ab / sqrt(S_aa S_bb).
    The states are sums, so shards merge by addition and processes by one all-reduce. The standard
    error is the delta method's over batches.

    Args:
        layers_a: number of layers in the first list.
        layers_b: number of layers in the second; None compares the first list with itself.
        kernel: "linear", "rbf" or "rbf:FRACTION" (see `metrics.kernels.vectoriser`).
        estimator: "unbiased", or "biased", which depends on the batch size.
        passes: how many times the batches go through the same examples.

    Raises:
        InputError: unknown kernel or estimator.

    Example:
        >>> x = torch.randn(32, 10, generator=torch.manual_seed(0))
        >>> metric = CKA(layers_a=2)
        >>> metric.update([x, x @ torch.linalg.qr(torch.randn(10, 10)).Q])
        >>> round(metric.compute().cka[0, 1].item(), 5)
        1.0
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self,
        layers_a: int,
        layers_b: int | None = None,
        *,
        kernel: str = "linear",
        estimator: str = "unbiased",
        passes: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers_a, self.layers_b = layers_a, layers_b
        self.kernel, self.estimator, self.passes = kernel, estimator, passes
        self.vectors = vectoriser(kernel, estimator)
        total = layers_a + (layers_b or 0)
        # Both lists are one: S is symmetric, and each list against itself comes with it.
        square = torch.zeros(total, total, dtype=torch.float64)
        self.add_state("sums", square.clone(), "sum")  # S_ab
        self.add_state("sums_squared", square.clone(), "sum")  # S_ab^2
        self.add_state("sums_own", square.clone(), "sum")  # S_ab S_aa
        self.add_state("own_own", square.clone(), "sum")  # S_aa S_bb
        self.add_state("noise", torch.zeros(total, dtype=torch.float64), "sum")
        self.add_state("weight", torch.zeros((), dtype=torch.float64), "sum")
        self.add_state("batches", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("dropped", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((total,), NEVER), "min")

    def update(self, a: Sequence[Tensor], b: Sequence[Tensor] | None = None) -> None:
        """Add one batch: every layer's activations of the same n examples.

        Args:
            a: `layers_a` tensors (n, ...), float32, float64, bfloat16 or float16.
            b: `layers_b` tensors (n, ...) of the same examples, in the same order.

        A batch of 1 to 3 examples is dropped and counted in `dropped`.

        Raises:
            ValueError: another number of layers than declared, or differing numbers of examples.
            TypeError: integer or complex activations.
        """
        layers = [*a, *(b or ())]
        if (len(a), b and len(b)) != (self.layers_a, self.layers_b):
            raise ValueError(
                f"CKA of {self.layers_a} and {self.layers_b} layers was given {len(a)} and "
                f"{None if b is None else len(b)}"
            )
        examples = {x.shape[0] for x in layers}
        if len(examples) != 1:
            raise ValueError(f"layers of one batch have {sorted(examples)} examples")
        (n,) = examples
        if n < MINIMUM_EXAMPLES:
            self.dropped += n
            return
        vectors = torch.cat([self.vectors([x]).to(self.device) for x in layers])
        noise = torch.cat([self.noise_floors([x]).to(self.device) for x in layers])
        self._accumulate(vectors, noise, n)

    def update_vectors(
        self, vectors: Tensor, noise: Tensor, n: int, batch: int | None = None
    ) -> None:
        """Add one batch whose activations were reduced as they appeared, and are gone.

        Args:
            vectors: (La + Lb, m) float32 or float64, row i is of `self.vectors([x_i])`; used up
                (scaled in place).
            noise: (La + Lb,) float64, `self.noise_floors` of all x_i.
            n: number of examples in the batch, at least 4.
            batch: its number, for the reasons of blanks; None: that of the batches so far.
        """
        self._computed = None  # what torchmetrics does around `update`
        self._update_count += 1
        self._accumulate(vectors, noise, n, batch)

    def vector_length(self, n: int) -> int:
        """m, the length of the vector of n examples."""
        return n * (n - 1) // 2 if self.estimator == "unbiased" else n * (n + 1) // 2

    def bytes_beside(self, n: int) -> int:
        """What a batch of n examples, already vectors, and `compute` need for a while, beside the
        states."""
        packed = 0 if self.kernel == "linear" else _PACKED * n * (n + 1) // 2
        return 8 * (_SQUARES * self.sums.numel() + packed)

    def reduce_(self, vectors: Tensor, norms: Tensor, xs: Sequence[Tensor]) -> None:
        """Fill the rows of k activations (n, ...) of one type, on one device.

        Args:
            vectors: (k, m), `self.vectors(xs)` from then on.
            norms: (k,) float64, what `noise_of` wants of xs.
            xs: as for `ops.centered_grams`.
        """
        if self.kernel == "linear":
            ops.centered_grams_(vectors, norms, xs, self.estimator)
        else:
            vectors.copy_(self.vectors(xs))
            norms.zero_()  # not wanted

    def noise_floors(self, xs: Sequence[Tensor]) -> Tensor:
        """The part of S_aa that rounding alone could give: (k,) float64 for k activations (n, ...)
        of one type."""
        if self.kernel == "linear":
            return noise_floors(xs)
        norms = first_norms(xs)
        return self.noise_of(norms, norms, xs[0].shape[0])

    def noise_of(self, norms: Tensor, scales: Tensor, n: int) -> Tensor:
        """`noise_floors` of layers of which the norms of the first of n examples are known.

        Args:
            norms: (k,) float64, ||x_0||.
            scales: (k,) float64, their `metrics.kernels.noise_scale`.
        """
        pairs = n * (n - 1) / 2
        if self.kernel == "linear":
            return linear_noise(norms, scales, pairs)
        # Gaussian: noise in x is gone already, what is left is float64's, of values up to 1.
        return torch.full_like(norms, pairs * 1e-28)

    def _accumulate(self, vectors: Tensor, noise: Tensor, n: int, batch: int | None = None) -> None:
        self._add(products(vectors), noise, n, batch)

    def _add(self, sums: Tensor, noise: Tensor, n: int, batch: int | None) -> None:
        """Add the products (L, L) float64 of one batch."""
        own = sums.diagonal()
        now = self.first_bad.clamp(max=self.batches if batch is None else batch)
        self.first_bad = torch.where(own.isfinite(), self.first_bad, now)
        self.sums += sums
        self.sums_squared += sums.square()
        self.sums_own += sums * own[:, None]
        self.own_own += torch.outer(own, own)
        self.noise += noise
        self.weight += n * (n - 3) if self.estimator == "unbiased" else (n - 1) ** 2
        self.batches += 1

    def compute(self) -> CKAResult:
        """CKA, its standard error and HSIC over all batches so far, list a by list b."""
        own = self.sums.diagonal()
        own = torch.where(self._blank(), torch.nan, own)
        scale = torch.outer(own, own).sqrt()
        cka = self.sums / scale
        hsic = torch.where(scale.isnan(), torch.nan, self.sums / self.weight)
        batches = int(self.batches)
        df = batches / self.passes - 1
        if batches < 2:
            se = torch.full_like(cka, torch.nan)
        else:
            se = self._influence_squared(cka, own, scale)
            se = (self.passes * batches / (batches - 1) * se.clamp(min=0)).sqrt()
        a, b = self._blocks()
        return CKAResult(cka[a, b], se[a, b], hsic[a, b], df)

    def norms(self) -> Tensor:
        """(La + Lb,) float64: sqrt(S_aa) of each layer, NaN where it is blank."""
        return torch.where(self._blank(), torch.nan, self.sums.diagonal()).sqrt()

    def effective_batches(self) -> Tensor:
        """(La + Lb,) float64: how many batches of equal weight each layer's result rests on.

        (sum of S_aa)^2 / sum of S_aa^2 (Kish), as many as there are where all weigh the same; a
        batch whose activations are k times as large weighs k^4 times as much.
        """
        return self.sums.diagonal().square() / self.own_own.diagonal()

    def _influence_squared(self, cka: Tensor, own: Tensor, scale: Tensor) -> Tensor:
        """Sum over batches t of psi_t^2, the influence of batch t on R = cka_ab.

        psi_t = S_ab,t / sqrt(S_aa S_bb) - R/2 (S_aa,t / S_aa + S_bb,t / S_bb), squared and summed.
        """
        own_squared = self.own_own.diagonal() / own.square()
        cross = self.sums_own / own[:, None]
        return (
            self.sums_squared / scale.square()
            - cka / scale * (cross + cross.T)
            + cka.square()
            * (own_squared[:, None] + own_squared + 2 * self.own_own / scale.square())
            / 4
        )

    def _blank(self) -> Tensor:
        return (self.first_bad != NEVER) | ~(self.sums.diagonal() > self.noise)

    def _blocks(self) -> tuple[slice, slice]:
        a = slice(0, self.layers_a)
        return a, a if self.layers_b is None else slice(self.layers_a, None)

    def blanks(self) -> tuple[list[str], list[str]]:
        """Per layer of list a and of list b: why its row or column is NaN, or ""."""
        bad, constant = self.first_bad.tolist(), self._blank().tolist()
        some = int(self.batches) > 0
        reasons = [blank_reason(*each, some) for each in zip(bad, constant, strict=True)]
        a, b = self._blocks()
        return reasons[a], reasons[b]


def blank_reason(first_bad: int, blank: bool, some: bool) -> str:
    """Why a layer has no value, or "".

    first_bad: in which batch it first was not finite. some: whether there was any batch.
    """
    if first_bad != NEVER:
        return f"non-finite values (first in batch {first_bad})"
    if blank:
        return "constant activations" if some else "no batch of 4 examples"
    return ""


def products(vectors: Tensor) -> Tensor:
    """All dot products of the rows (L, m), float64, for activations of any scale.

    The products of features of 1e10 overflow in float32: rows are first brought, in place, to a
    largest value of about 1 by powers of two, which changes no digit.
    """
    exponents = exponents_of(vectors)
    vectors.ldexp_(-exponents[:, None])
    products = vectors.new_zeros((len(vectors),) * 2, dtype=torch.float64)
    ops.hsic_accumulate_(products, vectors, vectors)
    return torch.ldexp(products, (exponents[:, None] + exponents).double())


def exponents_of(vectors: Tensor) -> Tensor:
    """(L,) int32: 2 to the power of minus these brings each row's largest value to about 1."""
    peaks = torch.linalg.vector_norm(vectors, ord=torch.inf, dim=1)
    return torch.frexp(peaks).exponent.clamp(-120, 120)
