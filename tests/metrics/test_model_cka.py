"""Similarity of models and its errors against float64 by hand; intervals simulated."""

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from vitprobe.metrics.model_cka import GROUPS, ModelCKA

COUNTS = [2, 3, 1]


def activations(batches, n=12, counts=COUNTS, seed=0):
    """For each batch the layers of all models in turn: mixtures of what the images share."""
    numbers = np.random.default_rng(seed)
    total = sum(counts)
    mixes = numbers.normal(size=(total, 6, 5))
    weights = numbers.uniform(0.5, 2, (total, 6, 1))
    found = []
    for _ in range(batches):
        shared = numbers.normal(size=(n, 6))
        noise = numbers.normal(size=(total, n, 5))
        found.append(
            [shared @ (mix * w) + each for mix, w, each in zip(mixes, weights, noise, strict=True)]
        )
    return found


def products(layers):
    """(L, L): n(n-3) HSIC_1 of one batch, by the formula of U-centring."""
    centred = []
    for x in layers:
        k = x @ x.T
        np.fill_diagonal(k, 0)
        n = len(k)
        rows = k.sum(1)
        k = k - (rows[:, None] + rows) / (n - 2) + k.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(k, 0)
        centred.append(k.ravel())
    centred = np.array(centred)
    return centred @ centred.T


def similar(sums, counts=COUNTS):
    """cka, matched and similarity of sums."""
    cka = sums / np.sqrt(np.outer(np.diag(sums), np.diag(sums)))
    edges = np.cumsum([0, *counts])
    blocks = [slice(*pair) for pair in zip(edges[:-1], edges[1:], strict=True)]
    matched = np.array([[cka[a, b].max(1).mean() for b in blocks] for a in blocks])
    return cka, matched, (matched + matched.T) / 2


def filled(data, counts=COUNTS, **options):
    metric = ModelCKA(counts, **options)
    for layers in data:
        metric.update([torch.from_numpy(x) for x in layers])
    return metric


@pytest.mark.parametrize("batches", [7, 2 * GROUPS + 5])
def test_by_hand(batches):
    data = activations(batches)
    each = np.array([products(layers) for layers in data])
    cka, matched, similarity = similar(each.sum(0))
    found = filled(data).compute()
    np.testing.assert_allclose(found.matched, matched, rtol=1e-10)
    np.testing.assert_allclose(found.similarity, similarity, rtol=1e-10)
    groups = min(batches, GROUPS)
    group = np.arange(batches) % GROUPS
    again = [similar(each[group != g].sum(0)) for g in range(groups)]
    for name, place in (("matched_se", 1), ("similarity_se", 2)):
        values = np.array([one[place] for one in again])
        error = np.sqrt((groups - 1) / groups * ((values - values.mean(0)) ** 2).sum(0))
        np.testing.assert_allclose(getattr(found, name), error, rtol=1e-6, atol=1e-9)
    assert found.df == groups - 1
    # rows 2 to 4 are the layers of the second model: which cannot be told from the best of row 0?
    best = 2 + cka[0, 2:5].argmax()
    assert found.place[0, 1] == best and found.best[0, 1].item() == pytest.approx(cka[0, best])
    gaps = np.array([one[0][0, best] - one[0][0, 2:5] for one in again])
    error = np.sqrt((groups - 1) / groups * ((gaps - gaps.mean(0)) ** 2).sum(0))
    alike = cka[0, best] - cka[0, 2:5] <= student.ppf(0.975, groups - 1) * error
    assert found.alike[0, 2:5].tolist() == alike.tolist() and alike[best - 2]


def test_errors_of_cells_are_those_of_cka():
    """Of models of one layer each the jackknife's, too, but for terms of higher order."""
    data = activations(40, counts=[1, 1])
    found = filled(data, [1, 1]).compute()
    assert found.matched_se[0, 1].item() == pytest.approx(found.best_se[0, 1].item(), rel=0.25)
    few = filled(data[:12], [1, 1]).compute()
    assert few.matched_se[0, 1].item() == pytest.approx(few.best_se[0, 1].item(), rel=0.1)


def test_the_same_model_is_one():
    data = [[*layers, *layers] for layers in activations(6, counts=[2])]
    found = filled(data, [2, 2]).compute()
    np.testing.assert_allclose(found.similarity, 1, atol=1e-12)
    np.testing.assert_allclose(found.similarity_se, 0, atol=1e-7)


def test_a_blank_layer_is_left_out_of_the_mean():
    data = activations(6)
    whole = filled(data).compute()
    for layers in data:
        layers[1] = np.ones_like(layers[1])
    found = filled(data).compute()
    assert found.place[1].tolist() == [-1, -1, -1] and found.best[1].isnan().all()
    assert found.matched[0, 2].item() == pytest.approx(whole.best[0, 2].item())
    assert not found.alike[1].any() and not found.alike[:, 1].any()
    for layers in data:
        layers[0] = layers[1]
    found = filled(data).compute()
    assert found.similarity[0].isnan().all() and not found.similarity[1, 2].isnan()


def test_one_batch_has_no_errors():
    found = filled(activations(1)).compute()
    assert found.similarity_se.isnan().all() and found.df == 0
    assert found.alike.sum() == len(COUNTS) * sum(COUNTS)  # the best matches themselves


def test_parts_add_up():
    data = activations(9)
    whole, parts = filled(data), [ModelCKA(COUNTS), ModelCKA(COUNTS)]
    for number, layers in enumerate(data):
        metric = parts[number % 2]
        xs = [torch.from_numpy(x) for x in layers]
        vectors = torch.cat([metric.vectors([x]) for x in xs])
        noise = torch.cat([metric.noise_floors([x]) for x in xs])
        metric.update_vectors(vectors, noise, 12, number)
    for name in whole._defaults:
        if name != "first_bad":
            setattr(parts[0], name, getattr(parts[0], name) + getattr(parts[1], name))
    for one, two in zip(whole.compute(), parts[0].compute(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_intervals_hold_the_value_of_many_images():
    """200 results of 8 batches: 95 % intervals of similarity hold that of 500 batches."""
    counts = [3, 3]
    data = activations(500 + 200 * 8, counts=counts)
    truth = filled(data[:500], counts).compute().similarity[0, 1].item()
    held = 0
    for k in range(200):
        begin = 500 + 8 * k
        found = filled(data[begin : begin + 8], counts).compute()
        half = student.ppf(0.975, found.df) * found.similarity_se[0, 1].item()
        held += abs(found.similarity[0, 1].item() - truth) <= half
    assert 0.9 <= held / 200 <= 0.985
