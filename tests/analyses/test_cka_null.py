"""CKA with its null: computed anew, best matches, blanks, memory."""

import inspect
import json

import numpy as np
import pytest
import torch
from null_work import found
from torch import nn

import vitprobe
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.errors import InputError
from vitprobe.metrics.permutations import permutations
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share

NULL = ["null_mean", "null_line", "p_value", "calibrated"]
BEST = [f"{name}_best{side}" for name in ("null_line", "p_value") for side in ("", "_a", "_b")]


class Bends(nn.Module):
    """Three layers of half of the features of flat images (N, 8)."""

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.relu, self.square, self.plain = nn.ReLU(), Square(), nn.Tanh()

    def forward(self, x):
        x = x.flatten(1)[:, self.first :: 2]
        self.square(x)
        self.relu(x)
        return self.plain(x)


class Square(nn.Module):
    def forward(self, x):
        return x.square()


LAYERS = {"square": np.square, "relu": lambda x: np.maximum(x, 0), "plain": np.tanh}


def pictures(count=30, seed=0, shared=0.0):
    """(N, 2, 2, 2): even and odd features have nothing in common, but for `shared`."""
    x = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[:, 1::2] += shared * x[:, ::2]
    return x.reshape(count, 2, 2, 2)


def centred(x, estimator):
    """Float64 Gram matrix of (n, p), U-centred or double-centred."""
    k, n = x @ x.T, len(x)
    if estimator == "biased":
        middle = np.eye(n) - 1 / n
        return middle @ k @ middle
    np.fill_diagonal(k, 0)
    rows = k.sum(0)
    k = k - (rows[:, None] + rows) / (n - 2) + rows.sum() / (n - 1) / (n - 2)
    np.fill_diagonal(k, 0)
    return k


def expected_null(x, y, estimator, batch_size, replicates, seed):
    """CKA (rows, columns) of lists of (N, p), and with those of x permuted (K, rows, columns)."""
    top = np.zeros((replicates + 1, len(x), len(y)))
    own_x, own_y = np.zeros(len(x)), np.zeros(len(y))
    for number, start in enumerate(range(0, len(x[0]), batch_size)):
        some = slice(start, start + batch_size)
        k, m = ([centred(z[some], estimator) for z in both] for both in (x, y))
        rows = permutations(seed, number, replicates, len(k[0])).numpy()
        for r, row in enumerate([np.arange(len(k[0])), *rows]):
            top[r] += [[(a[np.ix_(row, row)] * b).sum() for b in m] for a in k]
        own_x += [(a * a).sum() for a in k]
        own_y += [(b * b).sum() for b in m]
    cka = top / np.sqrt(np.outer(own_x, own_y))
    return cka[0], cka[1:]


def order_statistic(observed, null):
    return np.sort(np.concatenate([observed[None], null]), axis=0)[
        int(np.ceil(0.95 * (len(null) + 1) - 1e-9)) - 1
    ]


def p_value(observed, null):
    return (1 + (null >= observed).sum(0)) / (len(null) + 1)


@pytest.mark.parametrize(
    ("estimator", "batch_size", "shared"), [("unbiased", 10, 0.6), ("biased", 13, 0.3)]
)
def test_an_independent_computation(estimator, batch_size, shared):
    data = pictures(shared=shared)
    result = vitprobe.cka(
        *({name: Bends(first)} for first, name in enumerate("ab")),
        data=data,
        layers=list(LAYERS),
        estimator=estimator,
        batch_size=batch_size,
        null=60,
        seed=5,
    )
    assert result["layer_a"].values.tolist() == list(LAYERS)
    halves = [data.flatten(1).numpy()[:, first::2] for first in (0, 1)]
    sides = [[bend(half) for bend in LAYERS.values()] for half in halves]
    observed, null = expected_null(*sides, estimator, batch_size, 60, 5)
    close = {"rtol": 0, "atol": 1e-6}  # images are float32
    np.testing.assert_allclose(result["cka"], observed, **close)
    np.testing.assert_allclose(result["null_mean"], null.mean(0), **close)
    line = order_statistic(observed, null)
    np.testing.assert_allclose(result["null_line"], line, **close)
    np.testing.assert_allclose(result["p_value"], p_value(observed, null), **close)
    score = np.clip((observed - line) / (1 - line), 0, 1)
    np.testing.assert_allclose(result["calibrated"], score, **close)
    for side, axes in (("_a", (1,)), ("_b", (0,)), ("", (0, 1))):
        best = observed.max(axes), null.max(tuple(axis + 1 for axis in axes))
        np.testing.assert_allclose(result[f"null_line_best{side}"], order_statistic(*best), **close)
        np.testing.assert_allclose(result[f"p_value_best{side}"], p_value(*best), **close)
    assert result["p_value_best_a"].dims == ("layer_a",)
    assert len(np.unique(result["p_value"])) > 3
    attributes = result.attrs
    assert (attributes["null_replicates"], attributes["null_alpha"]) == (60, 0.05)
    assert attributes["seed"] == 5


def test_what_shares_nothing_and_what_shares_much():
    def p_values(shared, **options):
        models = [{name: Bends(first)} for first, name in enumerate("ab")]
        data = pictures(64, shared=shared)
        found = vitprobe.cka(*models, data=data, batch_size=16, null=99, **options)
        return found["p_value"].values, found["calibrated"].values

    for options in ({}, {"kernel": "rbf"}, {"estimator": "biased", "kernel": "rbf"}):
        p, score = p_values(0, **options)
        assert p.max() > 0.1 and (score == 0).mean() > 0.5
        p, score = p_values(3, **options)
        assert p[2, 2] == 0.01 and score[2, 2] > 0.3
        assert ((p <= 0.05) == (score > 0)).all()


def test_a_model_with_itself():
    data = pictures(40)
    result = vitprobe.cka(Bends(0), data=data, layers=list(LAYERS), batch_size=10, null=39)
    for name in NULL:
        np.testing.assert_array_equal(result[name].values, result[name].values.T, err_msg=name)
    assert np.diag(result["p_value"]).tolist() == [1 / 40] * 3
    np.testing.assert_allclose(np.diag(result["calibrated"]), 1, atol=1e-6)
    assert (np.diag(result["null_line"]) < 0.5).all()
    # nobody's best match is itself
    x = data.flatten(1).numpy()[:, ::2]
    sides = [[bend(x) for bend in LAYERS.values()]] * 2
    observed, null = expected_null(*sides, "unbiased", 10, 39, 0)
    null = np.triu(null) + np.triu(null, 1).transpose(0, 2, 1)  # of two the first is permuted
    for each in (observed, *null):
        np.fill_diagonal(each, -1)
    best = observed.max(1), null.max(2)
    np.testing.assert_allclose(result["p_value_best_a"], p_value(*best))
    np.testing.assert_allclose(result["null_line_best_a"], order_statistic(*best), atol=1e-6)
    assert result["p_value_best_a"].values.tolist() == result["p_value_best_b"].values.tolist()


def test_one_layer_with_itself_has_no_best_match():
    result = vitprobe.cka(Bends(0), data=pictures(40), layers="relu", batch_size=10, null=39)
    assert result["p_value"].values.tolist() == [[1 / 40]]
    assert all(result[name].isnull().all() for name in BEST)


def test_both_directions_come_from_one_permutation():
    models = [{name: Bends(first)} for first, name in enumerate("ab")]
    data = pictures(40, shared=0.4)
    result = vitprobe.cka(*models, data=data, batch_size=10, null=39)
    reader = CKAReader(null=39)
    across, *own = vitprobe.run([reader], models[0] | models[1], data, batch_size=10)[0]
    for name in [*NULL, *BEST]:
        np.testing.assert_array_equal(across[name], result[name])
    assert [each.attrs["model_a"] for each in own] == ["a", "b"]
    assert all(name in each for each in own for name in NULL)


class Holed(Bends):
    def forward(self, x):
        self.square(x * torch.nan)
        self.relu(torch.zeros_like(x.flatten(1)))
        return self.plain(x.flatten(1))


def test_blanks():
    result = vitprobe.cka(
        {"a": Holed(0)}, {"b": Bends(1)}, pictures(20), layers=list(LAYERS), batch_size=10, null=19
    )
    assert all(result["blank_a"].values[:2]) and not result["blank_a"].values[2]
    for name in [*NULL, "cka"]:
        assert result[name].isnull().values.tolist() == [[True] * 3] * 2 + [[False] * 3], name
    assert result["p_value_best_a"].isnull().values.tolist() == [True, True, False]
    for name in ("p_value_best_b", "null_line_best_b", "p_value_best", "null_line_best"):
        assert result[name].notnull().all(), name


def test_without_it_nothing_is_added():
    options = {"data": pictures(20), "batch_size": 10}
    plain = vitprobe.cka(Bends(0), **options)
    assert not [name for name in plain if name.startswith(("null", "p_value", "calibrated"))]
    assert not [name for name in plain.attrs if name.startswith("null")]
    with_null = vitprobe.cka(Bends(0), **options, null=19)
    assert plain.attrs["run"] != with_null.attrs["run"]
    for name in ("cka", "cka_se", "hsic"):
        assert plain[name].identical(with_null[name])
    more = vitprobe.cka(Bends(0), **options, null=200)
    assert more.attrs["run"] != with_null.attrs["run"]


def test_seeds():
    options = {"data": pictures(20), "batch_size": 10, "null": 99}
    one, same, other = (vitprobe.cka(Bends(0), **options, seed=seed) for seed in (1, 1, 2))
    assert one["null_line"].identical(same["null_line"])
    assert np.abs(one["null_line"] - other["null_line"]).min() > 0
    assert one["cka"].equals(other["cka"])  # a tensor is taken as it is


@pytest.mark.parametrize("count", [0, -3, 1, 18])
def test_too_few_permutations(count):
    with pytest.raises(InputError, match="at least 19 permutations") as caught:
        vitprobe.cka("vit", null=count)
    assert f"null={count}" in str(caught.value) and "null=200" in str(caught.value)


def test_another_null_does_not_go_on_from_this(tmp_path):
    path = tmp_path / "x.partial"
    found(Keeper(path, Share(0, 2)))
    json.dumps(read_partial(path).parts)
    with pytest.raises(InputError, match="null"):
        found(Keeper(path, Share(0, 2), resume=True), replicates=41)


def test_the_sums_and_what_a_batch_needs_are_counted(monkeypatch):
    assert "null" in inspect.signature(CKAReader).parameters
    with pytest.raises(InputError) as caught:
        monkeypatch.setattr("vitprobe.passes.room.free_on", lambda device: 1_000_000)
        found(replicates=1000)
    assert "fewer permutations (null)" in str(caught.value)
    count = int(str(caught.value).split("need ")[1].split(" bytes")[0].replace(",", ""))
    rows = 50  # at least, of the two models
    assert count > 2 * 8 * 1000 * rows**2 / 2
