"""Models by their distances: a dendrogram and a map of two dimensions."""

import numpy as np
import xarray as xr
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

METHOD = "average"
MERGE = ("first", "second", "distance", "models")  # columns of scipy's linkage
_ROUNDING = 1e-9  # of the largest eigenvalue


def with_map(result: xr.Dataset) -> xr.Dataset:
    """The result with what its `similarity` (model, model2) says of all models together.

    `distance` = 1 - similarity; `linkage` (merge, merge_column), scipy's table of average linkage
    (UPGMA), of the models that have values, by their places among all; `order` (model): their
    places along the dendrogram, neighbours next to each other (optimal leaf ordering), the others
    behind; `position` (model, axis): classical multidimensional scaling. Attributes: `map_share`,
    of the positive eigenvalues that of the map's axes; `map_stress`, Kruskal's stress of the map.
    """
    distance = 1 - result["similarity"].values
    np.fill_diagonal(distance, np.where(np.isnan(distance.diagonal()), np.nan, 0.0))
    known = np.flatnonzero(~np.isnan(distance.diagonal()))
    between = distance[np.ix_(known, known)]
    count = len(distance)
    order, merges = np.arange(count), np.zeros((0, len(MERGE)))
    position, share, stress = np.full((count, 2), np.nan), np.nan, np.nan
    if len(known) > 1:
        # below 0 by rounding only: models that are the same
        merges = linkage(
            squareform(between.clip(min=0), checks=False), METHOD, optimal_ordering=True
        )
        leaves = known[leaves_list(merges)]
        order = np.concatenate([leaves, np.setdiff1d(order, known)])
        merges = _numbered(merges, known, count)
        position[known], share = scaled(between)
        stress = _stress(between, position[known])
    order_of = np.empty(count, np.int64)
    order_of[order] = np.arange(count)
    pair = ("model", "model2")
    added = {
        "distance": (pair, distance, {"long_name": "1 - similarity"}),
        "linkage": (("merge", "merge_column"), merges),
        "order": ("model", order_of, {"long_name": "place along the dendrogram"}),
        "position": (("model", "axis"), position, {"long_name": "classical scaling of distance"}),
    }
    result = result.assign(added).assign_coords(
        {"merge_column": np.array(MERGE, object), "axis": np.array(["x", "y"], object)}
    )
    return result.assign_attrs(linkage_method=METHOD, map_share=share, map_stress=stress)


def scaled(distance: np.ndarray) -> tuple[np.ndarray, float]:
    """Classical multidimensional scaling (Torgerson 1952) to two axes.

    Args:
        distance: (M, M), symmetric, 0 on the diagonal.

    Returns:
        (M, 2) positions, of which the largest along each axis is positive; and the two eigenvalues'
        share of all positive ones (1 where all distances are 0).
    """
    square = distance**2
    centred = square - square.mean(0) - square.mean(1)[:, None] + square.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    positive = np.where(values > _ROUNDING * max(abs(values).max(), 1e-300), values, 0.0)
    places = np.zeros((len(distance), 2))
    for axis in range(min(2, len(values))):
        vector = vectors[:, axis] * np.sqrt(positive[axis])
        # of values that are equal but for rounding, the first decides
        near = abs(vector) >= abs(vector).max() * (1 - 1e-6)
        places[:, axis] = vector * (1.0 if vector[near.argmax()] >= 0 else -1.0)
    total = positive.sum()
    return places, float(positive[:2].sum() / total) if total else 1.0


def _stress(distance: np.ndarray, places: np.ndarray) -> float:
    """Kruskal's stress-1: how far distances on the map are from those that they stand for."""
    drawn = np.linalg.norm(places[:, None] - places[None], axis=2)
    total = (distance**2).sum()
    return float(np.sqrt(((drawn - distance) ** 2).sum() / total)) if total else 0.0


def _numbered(merges: np.ndarray, known: np.ndarray, count: int) -> np.ndarray:
    """The same merges among all models: models by their own numbers, clusters from `count`."""
    merges = merges.copy()
    ends = merges[:, :2].astype(int)
    models = ends < len(known)
    merges[:, :2] = np.where(models, known[np.where(models, ends, 0)], ends - len(known) + count)
    return merges
