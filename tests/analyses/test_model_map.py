"""Dendrogram and map of distances that are known."""

import numpy as np
import pytest
import xarray
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from vitprobe.analyses.model_map import scaled, with_map


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def result(distance):
    return xarray.Dataset({"similarity": (("model", "model2"), 1 - distance)})


def test_points_of_a_plane_come_back():
    points = np.random.default_rng(0).normal(size=(7, 2)) * (3, 1)
    found, share = scaled(distances(points))
    np.testing.assert_allclose(distances(found), distances(points), atol=1e-9)
    assert share == pytest.approx(1)
    assert np.ptp(found[:, 0]) > np.ptp(found[:, 1])
    for axis in found.T:  # signs
        assert axis[abs(axis).argmax()] > 0
    mirrored, _ = scaled(distances(points * (-1, 1)))
    np.testing.assert_allclose(mirrored, found, atol=1e-9)


def test_what_two_axes_cannot_hold_is_told():
    corners = np.eye(4)  # a tetrahedron: three equal eigenvalues
    found = with_map(result(distances(corners)))
    assert found.attrs["map_share"] == pytest.approx(2 / 3)
    assert 0.1 < found.attrs["map_stress"] < 0.6
    np.testing.assert_allclose(found["distance"], distances(corners), atol=1e-12)


def test_the_dendrogram():
    points = np.array([[0.0, 0], [5, 0], [0.1, 0], [5.2, 0], [2, 0]])
    found = with_map(result(distances(points)))
    merges = found["linkage"].values
    assert [set(merge[:2]) for merge in merges] == [{0, 2}, {1, 3}, {4, 5}, {6, 7}]
    heights = [0.1, 0.2, 1.95, (5 + 5.2 + 4.9 + 5.1 + 3 + 3.2) / 6]
    assert merges[:, 2].tolist() == pytest.approx(heights)
    assert merges[:, 3].tolist() == [2, 2, 3, 5]
    other = linkage(squareform(distances(points)), "average")
    np.testing.assert_allclose(cophenet(merges), cophenet(other))
    assert found["order"].values.tolist() in ([0, 3, 1, 4, 2], [4, 1, 3, 0, 2])


def test_models_without_a_value_stand_behind():
    distance = distances(np.array([[0.0, 0], [1, 0], [7, 7], [1.1, 0]]))
    distance[2] = distance[:, 2] = np.nan
    found = with_map(result(distance))
    assert found["order"].values[2] == 3
    assert [set(merge[:2]) for merge in found["linkage"].values] == [{1, 3}, {0, 4}]
    assert np.isnan(found["position"].values[2]).all()
    assert np.isfinite(found["position"].values[[0, 1, 3]]).all()
    assert found["distance"].values[0, 0] == 0 and np.isnan(found["distance"].values[2, 2])
    alone = with_map(result(np.full((2, 2), np.nan)))
    assert alone.sizes["merge"] == 0 and alone["position"].isnull().all()


def test_models_that_are_the_same():
    found = with_map(result(np.zeros((3, 3))))
    assert (found["position"] == 0).all() and found.attrs["map_share"] == 1
    assert (found["linkage"].values[:, 2] == 0).all() and found.attrs["map_stress"] == 0
