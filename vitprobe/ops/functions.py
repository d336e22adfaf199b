"""The operators: inputs are checked, then the kernel that `choice.py` names runs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitprobe.ops import fake, reference
from vitprobe.ops.candidates import KINDS, centered_grams_fast
from vitprobe.ops.choice import candidate
from vitprobe.ops.library import why_no_cpu
from vitprobe.ops.sizes import gram_size, hsic_size, packed_size

if not why_no_cpu():
    fake.register()


def _check_float(x: Tensor, name: str) -> None:
    if x.dtype not in KINDS:
        raise TypeError(f"{name} must be float32, float64, bfloat16 or float16, not {x.dtype}")


def _check_examples(x: Tensor) -> None:
    _check_float(x, "x")
    examples = x.shape[0] if x.ndim else 0
    if examples < 4:
        raise ValueError(f"x has {examples} examples; the estimators need at least 4")
    if x.numel() == 0:
        raise ValueError(f"x has no features: its shape is {tuple(x.shape)}")


def _is_biased(estimator: str) -> bool:
    if estimator == "unbiased":
        return False
    if estimator == "biased":
        return True
    raise ValueError(f"estimator must be 'unbiased' or 'biased', not {estimator!r}")


def _check_precision(precision: str) -> None:
    if precision not in ("fp32", "tf32"):
        raise ValueError(f"precision must be 'fp32' or 'tf32', not {precision!r}")


def _kind(x: Tensor, tf32: bool) -> str:
    return "tf32" if tf32 and x.dtype == torch.float32 else KINDS[x.dtype]


def gram(x: Tensor) -> Tensor:
    """Gram matrix of a batch of activations, packed.

    The mean of each feature over the examples is subtracted first: every centred Gram matrix, and
    so CKA, stays the same, and float32 sums keep their digits however large the mean is.

    Args:
        x: (n, ...), n >= 4 examples; float32, float64, bfloat16 or float16. Any layout in which
            an example is one block of memory (contiguous, channels-last, a range of tokens) is
            read in place, any other copied once.

    Returns:
        (n(n+1)/2,) lower triangle with diagonal, row by row: element (i, j <= i) at i(i+1)/2 + j.
        float32, or float64 for float64. NaN and Inf propagate.

    Raises:
        TypeError: integer, boolean or complex x.
        ValueError: fewer than 4 examples, or no features.
    """
    _check_examples(x)
    x = x.detach()
    n = x.shape[0]
    return candidate("gram", x, KINDS[x.dtype], gram_size, n, x.numel() // n)(x)


def center_pack(gram: Tensor, estimator: str = "unbiased") -> Tensor:
    """Centre a packed Gram matrix so that dot products of two results are HSIC.

    Args:
        gram: (n(n+1)/2,) as `gram` returns it, n >= 4; float32 or float64.
        estimator: "unbiased": U-centred (Szekely & Rizzo 2014), so that
            <v, w> = n(n-3) HSIC_1 (Song et al. 2012, eq. 5).
            "biased": double-centred H K H, so that <v, w> = tr(K H L H).

    Returns:
        unbiased: (n(n-1)/2,), sqrt(2) times element (i, j < i) at i(i-1)/2 + j.
        biased: (n(n+1)/2,), as `gram` is packed; sqrt(2) times the element off the diagonal.
        The type of `gram`; computed in float64.

    Raises:
        TypeError: `gram` is neither float32 nor float64.
        ValueError: its size is not n(n+1)/2 with n >= 4, or the estimator is unknown.
    """
    biased = _is_biased(estimator)
    if gram.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"gram must be float32 or float64, not {gram.dtype}")
    size = gram.shape[0] if gram.ndim == 1 else 0
    n = int(((8 * size + 1) ** 0.5 - 1) / 2)
    if n < 4 or n * (n + 1) // 2 != size:
        shape = tuple(gram.shape)
        raise ValueError(f"gram must be (n(n+1)/2,) with n >= 4, not of shape {shape}")
    gram = gram.detach()
    return candidate("center_pack", gram, KINDS[gram.dtype], packed_size, size)(gram, biased)


def centered_gram(x: Tensor, estimator: str = "unbiased", precision: str = "fp32") -> Tensor:
    """One layer's batch of activations as one vector: `center_pack(gram(x), estimator)`, fused.

    The dot product of two layers' vectors is their HSIC over the batch, so that all pairs of all
    layers are one matrix product (Nguyen et al. 2020 for the sum over batches).

    Args:
        x: (n, ...) as for `gram`.
        estimator: "unbiased" or "biased", as for `center_pack`.
        precision: "fp32", or "tf32": float32 may be multiplied in TF32 (10 bits of fraction), with
            a third of the products; only the fast CUDA kernel does, elsewhere it is "fp32".

    Returns:
        (n(n-1)/2,) for unbiased, (n(n+1)/2,) for biased; float32, or float64 for float64. The
        Gram matrix is kept in float64 until it is centred.

    Raises:
        TypeError: integer, boolean or complex x.
        ValueError: fewer than 4 examples, no features, or an unknown estimator or precision.
    """
    biased = _is_biased(estimator)
    _check_precision(precision)
    _check_examples(x)
    x = x.detach()
    n, tf32 = x.shape[0], precision == "tf32"
    run = candidate("centered_gram", x, _kind(x, tf32), gram_size, n, x.numel() // n)
    return run(x, biased, tf32)


def centered_grams(
    xs: Sequence[Tensor], estimator: str = "unbiased", precision: str = "fp32"
) -> Tensor:
    """`centered_gram` of many activations of the same examples, as the rows of one matrix.

    On a GPU the fast kernel takes all of them in a few launches, which pays where each is too
    small to fill the GPU (up to some 64 k features); the numbers are those of `centered_gram` to
    rounding, since long sums may be cut elsewhere.

    Args:
        xs: k activations (n, ...), each as for `gram`; of one type, on one device, k >= 1.
        estimator, precision: as for `centered_gram`.

    Returns:
        (k, n(n-1)/2) for unbiased, (k, n(n+1)/2) for biased; float32, or float64 for float64.

    Raises:
        TypeError: integer, boolean or complex activations, or of more than one type.
        ValueError: none at all, fewer than 4 examples, differing numbers of examples or devices,
            no features, or an unknown estimator or precision.
    """
    biased = _is_biased(estimator)
    _check_precision(precision)
    xs = _alike(xs)
    tf32 = precision == "tf32"
    return _many(xs, tf32)(xs, biased, tf32)


def _alike(xs: Sequence[Tensor]) -> list[Tensor]:
    if len(xs) == 0:
        raise ValueError("xs holds no activations")
    for x in xs:
        _check_examples(x)
        if x.dtype != xs[0].dtype:
            raise TypeError(f"xs has activations of {xs[0].dtype} and of {x.dtype}")
        if x.shape[0] != xs[0].shape[0] or x.device != xs[0].device:
            places = [f"{len(y)} examples on {y.device}" for y in (xs[0], x)]
            raise ValueError(f"xs has activations of {places[0]} and of {places[1]}")
    return [x.detach() for x in xs]


def _many(xs: list[Tensor], tf32: bool) -> Callable:
    """What runs for activations together."""
    x = xs[0]
    numbers = x.shape[0], x.numel() // x.shape[0], len(xs)
    return candidate("centered_grams", x, _kind(x, tf32), gram_size, *numbers)


def centered_grams_(
    vectors: Tensor,
    norms: Tensor,
    xs: Sequence[Tensor],
    estimator: str = "unbiased",
    precision: str = "fp32",
) -> None:
    """`centered_grams` into given rows, and beside it the norm of every first example.

    The norm says how large rounding errors can be (`metrics.CKA`); the fast CUDA kernel finds it in
    passing, without a launch of its own.

    Args:
        vectors: (k, m) float32, or float64 for float64; filled. Rows may lie apart.
        norms: (k,) float64, filled: ||xs[i][0]||. On the device of `vectors`, or on the CPU where
            that has no float64.
        xs, estimator, precision: as for `centered_grams`.

    Raises:
        TypeError, ValueError: as `centered_grams`, and for other shapes or types of what is filled.
    """
    biased = _is_biased(estimator)
    _check_precision(precision)
    xs = _alike(xs)
    n, tf32 = xs[0].shape[0], precision == "tf32"
    wanted = len(xs), n * (n + 1) // 2 if biased else n * (n - 1) // 2
    if vectors.shape != wanted or norms.shape != wanted[:1]:
        raise ValueError(f"vectors and norms must be {wanted} and {wanted[:1]}, not "
                         f"{tuple(vectors.shape)} and {tuple(norms.shape)}")  # fmt: skip
    kind = torch.float64 if xs[0].dtype == torch.float64 else torch.float32
    if vectors.dtype != kind or norms.dtype != torch.float64:
        raise TypeError(f"vectors and norms must be {kind} and torch.float64, not "
                        f"{vectors.dtype} and {norms.dtype}")  # fmt: skip
    run = _many(xs, tf32)
    if run is centered_grams_fast and vectors.device == xs[0].device:
        torch.ops.vitprobe.centered_grams_fast_.default(vectors, norms, xs, biased, tf32)
        return
    vectors.copy_(run(xs, biased, tf32))
    norms.copy_(reference.first_norms(xs))


def hsic_accumulate_(acc: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """acc += a b^T: HSIC of all pairs of layers, added over batches.

    Sums in float32 are at most 1,024 long (float64 for float64), between them float64. Where a
    and b are the same matrix, half is computed and the result is exactly symmetric.

    Args:
        acc: (La, Lb) float64, changed in place.
        a: (La, m) float32 or float64: the vectors of one model's layers.
        b: (Lb, m) of the type of a.

    Returns:
        acc.

    Raises:
        TypeError: types other than these.
        ValueError: shapes or devices that do not match.
    """
    if acc.dtype != torch.float64:
        raise TypeError(f"acc must be float64, not {acc.dtype}")
    if a.dtype not in (torch.float32, torch.float64) or a.dtype != b.dtype:
        raise TypeError(f"a and b must both be float32 or both float64, not {a.dtype}, {b.dtype}")
    matrices = acc.ndim == a.ndim == b.ndim == 2
    if not matrices or a.shape[1] != b.shape[1] or acc.shape != (a.shape[0], b.shape[0]):
        shapes = ", ".join(str(tuple(t.shape)) for t in (acc, a, b))
        raise ValueError(f"acc, a, b must be (La, Lb), (La, m), (Lb, m), not {shapes}")
    if not acc.device == a.device == b.device:
        raise ValueError(f"acc, a, b are on {acc.device}, {a.device}, {b.device}")
    a, b = a.detach(), b.detach()
    numbers = a.shape[0], b.shape[0], a.shape[1]
    return candidate("hsic_accumulate_", acc, KINDS[a.dtype], hsic_size, *numbers)(acc, a, b)
