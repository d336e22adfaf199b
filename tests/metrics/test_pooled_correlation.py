"""Correlations of joined lists and means over batches, with their standard errors."""

import numpy as np
import pytest
import torch

from vitprobe.metrics.batch_means import BatchMeans
from vitprobe.metrics.example_rows import ExampleRows
from vitprobe.metrics.flaws import Flaws
from vitprobe.metrics.pooled_correlation import PooledCorrelation

SIZES = (30, 30, 30, 12, 30, 30)


@pytest.fixture
def lists():
    """Batches of 3 layers' values with a large mean."""
    random = np.random.RandomState(0)
    common = [random.randn(1, m) + random.randn() for m in SIZES]
    return [torch.from_numpy(each + random.randn(3, each.shape[1]) + 20) for each in common]


def influence(lists, centred):
    """psi of each batch, written out."""
    joined = torch.cat(lists, 1)
    mean = joined.mean(1, keepdim=True) if centred else torch.zeros(3, 1, dtype=torch.float64)
    whole = (joined - mean) @ (joined - mean).T
    own = whole.diagonal()
    scale = torch.outer(own, own).sqrt()
    r, found = whole / scale, []
    for each in lists:
        c = (each - mean) @ (each - mean).T
        half = c.diagonal() / own
        found.append(c / scale - r / 2 * (half[:, None] + half))
    return r, torch.stack(found)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("passes", [1, 2])
def test_pooled_correlation(lists, centred, passes):
    metric = PooledCorrelation(3, centred=centred, passes=passes)
    for each in lists:
        metric.update(each.clone())
    value, se = metric.compute()
    r, psi = influence(lists, centred)
    np.testing.assert_allclose(value, r, rtol=1e-12)
    if centred:
        np.testing.assert_allclose(value, np.corrcoef(torch.cat(lists, 1)), rtol=1e-12)
    count = len(SIZES)
    wanted = (passes * count / (count - 1) * psi.square().sum(0)).sqrt()
    off = ~torch.eye(3, dtype=torch.bool)
    np.testing.assert_allclose(se[off], wanted[off], rtol=1e-6)
    assert se.diagonal().max() < 1e-6


def test_the_error_is_that_of_repetition():
    """Of 100 repetitions of 12 batches: their spread and the mean error agree."""
    random = np.random.RandomState(1)
    values, errors = [], []
    for _ in range(100):
        metric = PooledCorrelation(2)
        for _ in range(12):
            common = random.randn(40) + random.randn()
            pair = [common + random.randn(40) + 5, common + random.randn(40) + 5]
            metric.update(torch.from_numpy(np.stack(pair)))
        value, se = metric.compute()
        values.append(value[0, 1].item())
        errors.append(se[0, 1].item())
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


def test_blanks_of_pooled_correlation(lists):
    metric = PooledCorrelation(3)
    for k, each in enumerate(lists):
        each[0] = 7
        if k == 3:
            each[2, 0] = np.nan
        metric.update(each)
    assert metric.blank().tolist() == [True, False, True]
    assert metric.first_bad.tolist()[2] == 3
    value, se = metric.compute()
    assert value[1, 1] == 1 and torch.isnan(value[0]).all() and torch.isnan(se[2]).all()


def test_one_batch_has_no_error(lists):
    pooled, means = PooledCorrelation(3), BatchMeans(3)
    pooled.update(lists[0].clone())
    means.update(torch.ones(3, 3), 30)
    for metric in (pooled, means):
        value, se = metric.compute()
        assert value.isfinite().all() and se.isnan().all()


def test_batch_means_are_weighted():
    values, sizes = np.array([0.2, 0.5, 0.9, 0.4]), np.array([8, 8, 8, 3])
    metric = BatchMeans(1, passes=2)
    for value, n in zip(values, sizes, strict=True):
        metric.update(torch.tensor([[value]]), n)
    mean = np.average(values, weights=sizes)
    spread = (sizes**2 * (values - mean) ** 2).sum() / sizes.sum() ** 2
    found = [each.item() for each in metric.compute()]
    assert found == pytest.approx([mean, np.sqrt(2 * 4 / 3 * spread)])


def test_a_batch_without_value_is_a_blank():
    metric = BatchMeans(2)
    for k in range(3):
        values = torch.ones(2, 2, dtype=torch.float64)
        if k:
            values[1] = values[:, 1] = torch.nan
        metric.update(values, 8, batch=5 + k)
    assert metric.first_bad.tolist()[1] == 6
    value, _ = metric.compute()
    assert value[0, 0] == 1 and value[1].isnan().all() and value[:, 1].isnan().all()


def test_rows_of_parts_add_up():
    x = torch.randn(6, 2, 2)
    parts = [ExampleRows(6, 5) for _ in range(2)]
    for metric, places in zip(parts, ([4, 0], [2, 5]), strict=True):
        places = torch.tensor(places)
        metric.update(places, 1, x[places])
        metric.see(places)
    whole = ExampleRows(6, 5)
    whole.rows, whole.seen = (parts[0].rows + parts[1].rows), parts[0].seen + parts[1].seen
    assert torch.equal(whole.of(1, 4), x[[0, 2, 4, 5]].flatten(1).double())
    assert whole.of(0, 5).shape == (4, 5)


def test_flaws_keep_the_first_batch():
    metric = Flaws(3)
    none = torch.zeros(3, dtype=torch.bool)
    metric.update([], none, none, 0)
    metric.update([1], torch.tensor([False, True, True]), none, 4)
    metric.update([1], torch.tensor([False, True, True]), torch.tensor([True, False, False]), 2)
    assert metric.reasons() == [
        "",
        "did not fire in batch 2",
        "non-finite values (first in batch 2)",
    ]
    assert metric.compute()[2].tolist()[0] == 2
