"""Representational similarity analysis: do two arrays put the same examples far apart?

Kriegeskorte et al. 2008. Of each array the distances of all pairs of examples, and the correlation
of the two lists.
"""

import torch
from torch import Tensor

from vitprobe.measures.given import Given, NoValue
from vitprobe.measures.grams import above, gram, squared_distances, unit

DISTANCES = ("euclidean", "squared_euclidean", "correlation", "cosine")
CORRELATIONS = ("pearson", "spearman", "kendall", "cosine")


def rows_of(x: Tensor, distance: str) -> Tensor:
    """Examples (n, p) of which the Gram matrix holds their distances: as they are, or each of
    length 1, and for `correlation` less the mean of its own features; NaN where an example has no
    direction."""
    if distance == "correlation":
        x = x - x.mean(1, keepdim=True)
    return unit(x) if distance in ("correlation", "cosine") else x


def distances_of(grams: Tensor, distance: str) -> Tensor:
    """Distances of the pairs i < j: (..., n (n - 1) / 2), of Gram matrices of `rows_of`."""
    if distance in ("correlation", "cosine"):
        return 1 - above(grams)
    squares = above(squared_distances(grams))
    return squares if distance == "squared_euclidean" else squares.sqrt()


def settled(vectors: Tensor) -> Tensor:
    """Distances (..., m) in steps of 2^-36 of the largest: those that rounding alone tells apart
    are equal, for ranks."""
    return (vectors / vectors.amax(-1, keepdim=True) * 2**36).round_()


def ranks(vectors: Tensor) -> Tensor:
    """Ranks along the last axis, from 1; equal values share the mean of theirs."""
    ordered = vectors.sort(dim=-1).values
    vectors = vectors.contiguous()
    low = torch.searchsorted(ordered, vectors)
    return (low + torch.searchsorted(ordered, vectors, right=True) + 1).double() / 2


def standing(vectors: Tensor, correlation: str) -> Tensor:
    """Distances (..., m) -> vectors of which the product is the correlation (not of `kendall`)."""
    if correlation == "spearman":
        vectors = ranks(settled(vectors))
    if correlation != "cosine":
        vectors = vectors - vectors.mean(-1, keepdim=True)
    return unit(vectors)


def prepare(x: Given, *, distance: str, correlation: str) -> Tensor:
    """Of one array its list of distances, ready for `correlated`.

    Raises:
        NoValue: it is constant, an example has no direction, or all distances are the same.
    """
    euclidean = distance in ("euclidean", "squared_euclidean")
    rows = rows_of(x.centred if euclidean else x.x, distance)
    if not euclidean:
        centred = x.x - x.x.mean(1, keepdim=True) if distance == "correlation" else x.x
        if (centred.norm(dim=1) <= x.step * x.x.norm(dim=1)).any():
            what = "the same in all features" if distance == "correlation" else "zero"
            raise NoValue(f"an example is {what}: it has no {distance} distance")
        x.centred  # noqa: B018 (constant examples have no distances)
    found = distances_of(gram(rows), distance)
    spread = found.max() - found.min()
    if correlation != "cosine" and not spread > 1e-12 * found.abs().max():
        raise NoValue("all distances are the same")
    return settled(found) if correlation == "kendall" else standing(found, correlation)


def correlated(a: Tensor, b: Tensor, *, distance: str, correlation: str) -> float:
    """The correlation of two prepared lists; Kendall's is tau-b."""
    if correlation != "kendall":
        return float(a @ b)
    from scipy.stats import kendalltau  # it takes a while to load

    return float(kendalltau(a.cpu().numpy(), b.cpu().numpy()).statistic)
