"""Every measure gives the numbers that others give."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
import torch

from vitprobe import similarity

VALUES = {
    "cka": 0.5134564895,
    "cka_biased": 0.5576132566,
    "cka_rbf": 0.4192767510,
    "cka_rbf:0.5:biased": 0.6548311823,
    "rsa": 0.506585597751,
    "rsa:euclidean:spearman": 0.492964696698,
    "rsa:euclidean:kendall": 0.340154750169,
    "rsa:euclidean:cosine": 0.979040238878,
    "rsa:squared_euclidean": 0.506232111630,
    "rsa:squared_euclidean:spearman": 0.492964696698,
    "rsa:squared_euclidean:kendall": 0.340154750169,
    "rsa:squared_euclidean:cosine": 0.927770548952,
    "rsa:correlation": 0.485146142771,
    "rsa:correlation:spearman": 0.472439673763,
    "rsa:correlation:kendall": 0.325070139667,
    "rsa:correlation:cosine": 0.948574827979,
    "rsa:cosine": 0.493616188063,
    "rsa:cosine:spearman": 0.481734787504,
    "rsa:cosine:kendall": 0.331938418332,
    "rsa:cosine:cosine": 0.954087157970,
    "nbs": 0.736255310606,
    "nbs:angle": 0.743276476121,
    "procrustes": 0.527489378788,
    "procrustes:root": 0.726284640336,
    "cca": 0.731013958679,
    "cca:mean_square": 0.545396332038,
    "svcca:5": 0.670859804765,
    "svcca:5:mean_square": 0.475495953322,
    "pwcca": 0.734667719617,
    "pwcca:y": 0.736840567525,
    "mutual_knn:5:dot": 0.232,
    "mutual_knn:10:dot": 0.307,
    "mutual_knn:20:dot": 0.4115,
    "mutual_knn:5": 0.216,
    "mutual_knn": 0.279,
    "mutual_knn:20:cosine": 0.4165,
    "mutual_knn:5:euclidean": 0.208,
    "mutual_knn:10:euclidean": 0.289,
    "mutual_knn:20:euclidean": 0.4205,
    "cknna:5:dot:1e-6": 0.210930527693,
    "cknna:10:dot:1e-6": 0.305932340859,
    "cknna:20:dot:1e-6": 0.452102742893,
    "gulp:0": 9.092073356183,
    "gulp:0.01": 8.929858279758,
    "gulp:0.1": 7.692606009185,
    "gulp": 3.059607108596,
    "gulp:10": 0.195493185588,
}


@pytest.mark.parametrize("spec", VALUES)
def test_the_demo_pair(demo, spec):
    digits = 10 if spec.startswith("cka") else 12
    if spec in ("cca", "cca:mean_square"):
        digits = 9  # printed of a routine that adds 1e-10 to the covariances: see the next test
    assert similarity(*demo, spec) == pytest.approx(VALUES[spec], abs=0.51 * 10**-digits)


def test_cca_and_gulp_agree(demo):
    """Without regularisation GULP is p + q - 2 (sum of the squared correlations)."""
    squares = similarity(*demo, "cca:mean_square")
    assert 20 - 20 * squares == pytest.approx(VALUES["gulp:0"], abs=1e-12)
    bases = [scipy.linalg.orth(each - each.mean(0)) for each in demo]
    angles = scipy.linalg.subspace_angles(*bases)
    assert similarity(*demo, "cca") == pytest.approx(np.cos(angles).mean(), abs=1e-12)


def test_a_list_gives_each(demo):
    asked = ["cka", "rsa:cosine", "mutual_knn", "cknna:20:dot"]
    found = similarity(*demo, asked)
    assert list(found) == asked
    assert found == {spec: similarity(*demo, spec) for spec in asked}


def test_options_by_name_of_a_list(demo):
    found = similarity(*demo, ["mutual_knn", "rsa", "cka"], k=5, correlation="spearman")
    assert found["mutual_knn"] == pytest.approx(0.216)
    assert found["rsa"] == pytest.approx(VALUES["rsa:euclidean:spearman"], abs=1e-11)
    assert found["cka"] == pytest.approx(VALUES["cka"], abs=1e-9)


def test_second_pair():
    x = np.arange(50.0).reshape(10, 5)
    y = np.sin(2 * np.pi * x / 50)
    assert similarity(x, y, "cka_biased") == pytest.approx(0.631928945143, abs=1e-12)
    assert similarity(x, y) == pytest.approx(0.661773311159, abs=1e-12)


@pytest.mark.parametrize("features", [3, 60])
def test_rsa_as_rsatoolbox(features):
    rsatoolbox = pytest.importorskip("rsatoolbox", exc_type=ImportError)
    random = np.random.RandomState(2)
    x, y = random.rand(30, features), random.rand(30, features) ** 2
    for theirs, ours in {"euclidean": "squared_euclidean", "correlation": "correlation"}.items():
        each = [
            rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(one), method=theirs) for one in (x, y)
        ]
        for way, correlation in {
            "corr": "pearson",
            "spearman": "spearman",
            "tau-b": "kendall",
            "cosine": "cosine",
        }.items():
            wanted = rsatoolbox.rdm.compare(*each, method=way).item()
            found = similarity(x, y, "rsa", distance=ours, correlation=correlation)
            assert found == pytest.approx(wanted, abs=1e-10), (theirs, way)


def test_rsa_as_scipy_with_equal_distances():
    x = np.random.RandomState(0).randint(0, 3, (25, 3)).astype(float)
    y = np.random.RandomState(1).randint(0, 3, (25, 2)).astype(float)
    lists = [scipy.spatial.distance.pdist(each) for each in (x, y)]
    for name, function in (("spearman", "spearmanr"), ("kendall", "kendalltau")):
        wanted = getattr(scipy.stats, function)(*lists).statistic
        assert similarity(x, y, f"rsa:euclidean:{name}") == pytest.approx(wanted, abs=1e-10)


def test_procrustes_as_scipy(demo):
    x, y = demo
    nbs = similarity(x, y, "nbs")
    assert 1 - nbs**2 == pytest.approx(0.457928117605, abs=1e-12)
    assert 1 - nbs**2 == pytest.approx(scipy.spatial.procrustes(x, y)[2], abs=1e-12)
    rotation, scale = scipy.linalg.orthogonal_procrustes(*(each - each.mean(0) for each in (x, y)))
    norms = [np.linalg.norm(each - each.mean(0)) for each in (x, y)]
    assert nbs == pytest.approx(scale / (norms[0] * norms[1]), abs=1e-12)


@pytest.mark.parametrize("shape", [(20, 50, 7), (20, 7, 50), (12, 40, 60)])
def test_wide_arrays_as_narrow_ones(shape):
    """More features than examples: as of the same points in coordinates of their own."""
    n, p, q = shape
    random = np.random.RandomState(3)
    x, y = random.randn(n, p), random.randn(n, q)

    def narrow(each):
        centred = each - each.mean(0)
        values, vectors = np.linalg.eigh(centred @ centred.T)
        there = values > 1e-9 * values[-1]
        return vectors[:, there] * np.sqrt(values[there])

    for spec in ("nbs", "procrustes", "gulp", "gulp:0.1:unit", "svcca:3", "cka", "rsa"):
        found, wanted = similarity(x, y, spec), similarity(narrow(x), narrow(y), spec)
        assert found == pytest.approx(wanted, abs=1e-9), spec


def test_svcca_keeps_a_share_of_the_variance():
    random = np.random.RandomState(4)
    x = random.randn(40, 6) * [10, 10, 10, 1, 0.1, 0.1]
    y = x[:, :4] @ random.randn(4, 4)
    shares = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    count = int((shares.cumsum() / shares.sum() < 0.99).sum()) + 1
    assert count == 3
    whole = similarity(x, y, "svcca", dimensions=3)
    assert similarity(x, x, "svcca") == pytest.approx(1)
    assert 0 < whole < 1


def test_numbers_of_any_type(demo):
    x, y = demo
    single = similarity(x.astype(np.float32), torch.from_numpy(y).float(), "rsa")
    assert single == pytest.approx(VALUES["rsa"], abs=1e-6)
    assert similarity(torch.from_numpy(x), y) == similarity(x, y)
    whole = np.round(10 * x).astype(int)
    assert similarity(whole, y) == similarity(whole.astype(float), y)
    assert similarity(np.asfortranarray(x), y[:, ::-1], "cka") == pytest.approx(similarity(x, y))
    swapped = x.astype(x.dtype.newbyteorder())
    assert similarity(swapped, y) == similarity(x, y)


def test_nothing_is_written_to(demo):
    x, y = (torch.from_numpy(each.copy()).requires_grad_() for each in demo)
    before = x.detach().clone(), y.detach().clone()
    similarity(x, y, ["cka", "rsa", "procrustes", "gulp", "cca", "cknna", "mutual_knn"])
    assert torch.equal(before[0], x) and torch.equal(before[1], y)


def test_large_means_do_not_matter():
    random = np.random.RandomState(5)
    x = random.randn(30, 5)
    y = x + random.randn(30, 5)
    for spec in ("cka", "rsa", "procrustes", "gulp", "cca", "mutual_knn:5:euclidean"):
        found = similarity(x + 1e5, y - 1e5, spec)
        assert found == pytest.approx(similarity(x, y, spec), abs=1e-6), spec


def test_features_that_are_dead_change_nothing(demo):
    x, y = demo
    dead = np.concatenate([x, np.full((100, 3), 2.0)], 1)
    for spec in ("cka", "nbs", "gulp", "cca", "pwcca", "svcca:5"):
        assert similarity(dead, y, spec) == pytest.approx(similarity(x, y, spec), abs=1e-10), spec
