"""The null of CKA: permutations, permuted sums, and what is calibrated against them."""

import itertools
import math

import calibrated_similarity
import numpy as np
import pytest
import torch
from scipy import stats

from vitprobe.metrics import CKA
from vitprobe.metrics.kernels import vectoriser
from vitprobe.metrics.null import PermutedSums, calibrated
from vitprobe.metrics.permutations import pairs_of, permutations, permuted_pairs


def demo():
    """The pair of Google's representation-similarity demo: (100, 10) each."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return torch.from_numpy(x), torch.from_numpy(random.randn(100, 10) + x)


def gaussians(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def split_mix(word):
    """SplitMix64 as it is written in C, in Python's own numbers: an endless stream."""
    mask = 2**64 - 1
    while True:
        word = (word + 0x9E3779B97F4A7C15) & mask
        z = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def test_permutations_are_those_of_split_mix():
    # the generator's published first numbers of seed 1234567
    known = list(itertools.islice(split_mix(1234567), 3))
    assert known == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    # SHA-256 of "7 3 6", its first 8 bytes as a little-endian number
    stream = split_mix(782650247703881508)
    drawn = permutations(7, 3, 40, 6)
    for row in drawn.tolist():
        keys = [next(stream) for _ in range(6)]
        signed = [key - (key >> 63 << 64) for key in keys]
        assert row == sorted(range(6), key=signed.__getitem__)


def test_permutations_are_the_same_everywhere():
    assert permutations(0, 0, 2, 8).tolist() == [
        [7, 3, 1, 5, 4, 2, 0, 6],
        [5, 4, 2, 7, 1, 0, 3, 6],
    ]
    assert torch.equal(permutations(5, 2, 30, 9)[:10], permutations(5, 2, 10, 9))
    first = permutations(5, 2, 30, 9)
    for other in (permutations(6, 2, 30, 9), permutations(5, 3, 30, 9)):
        assert (first != other).any(1).sum() > 25


def test_permutations_are_uniform():
    drawn = torch.cat([permutations(1, batch, 500, 4) for batch in range(48)])
    assert (drawn.sort(1).values == torch.arange(4)).all()
    counts = (drawn @ (4 ** torch.arange(4))).unique(return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    replicates = permutations(2, 0, 20000, 45)
    for example in (0, 44):
        places = (replicates == example).nonzero()[:, 1].bincount(minlength=45)
        assert stats.chisquare(places).pvalue > 1e-3


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize(
    ("kernel", "counts"),
    [("linear", (3, 5)), ("linear", (5, 3)), ("linear", (40, None)), ("rbf", (3, 5))],
)
def test_sums_are_those_of_permuted_examples(kernel, estimator, counts):
    n, replicates = 50, 21  # 1,225 pairs: more than are summed in float32
    count_a, count_b = counts
    a = [x * 10.0**k for k, x in enumerate(gaussians(*[(n, 4)] * count_a)) if k < 8]
    a = (a * 5)[:count_a]
    b = a if count_b is None else gaussians(*[(n, 3)] * count_b, seed=1)
    vectors = vectoriser(kernel, estimator)
    va, vb = vectors(a), vectors(b)
    kept = va.clone(), vb.clone()
    metric = PermutedSums(count_a, count_b, replicates, 3, estimator=estimator)
    expected = 0
    for batch in (4, 9):
        metric.update(va, None if count_b is None else vb, n, batch)
        rows = permutations(3, batch, replicates, n)
        permuted = [vectors([x[row] for x in a]) @ vb.T for row in rows]
        expected = expected + torch.stack(permuted)
    assert torch.equal(va, kept[0]) and torch.equal(vb, kept[1])
    if count_b is None:  # the layer that comes first is permuted
        expected = torch.triu(expected) + torch.triu(expected, 1).mT
    found = metric.compute()
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    rows, columns = [2, 0], [1, 2, 2]
    part = found[:, rows][:, :, columns]
    assert torch.equal(metric.pair(rows, columns), part)


def test_float32_of_any_scale():
    a, b = (x.float() for x in gaussians((70, 30), (70, 20)))
    vectors = vectoriser("linear", "unbiased")
    exact = PermutedSums(1, 1, 50)
    exact.update(vectors([a.double()]), vectors([b.double()]), 70, 0)
    expected, norm = exact.compute(), vectors([a.double()]).norm() * vectors([b.double()]).norm()
    for scale in (1e-8, 1.0, 1e8):
        metric = PermutedSums(1, 1, 50)
        metric.update(vectors([a * scale]), vectors([b * scale]), 70, 0)
        off = metric.compute() / scale**4 - expected
        assert off.abs().max() < 1e-7 * norm


def test_a_layer_that_is_not_finite_spoils_no_other():
    vectors = vectoriser("linear", "unbiased")(gaussians(*[(9, 4)] * 4))
    clean, spoilt = PermutedSums(4, None, 20), PermutedSums(4, None, 20)
    clean.update(vectors, None, 9, 0)
    vectors[1] = torch.nan
    spoilt.update(vectors, None, 9, 0)
    found, others = spoilt.compute(), [0, 2, 3]
    assert found[:, 1].isnan().all() and found[:, :, 1].isnan().all()
    rest = clean.compute()[:, others][:, :, others]
    torch.testing.assert_close(found[:, others][:, :, others], rest, rtol=1e-12, atol=1e-12)


def test_order_and_shares_do_not_matter():
    vectors = [vectoriser("linear", "unbiased")(gaussians(*[(12, 4)] * 3, seed=k)) for k in (1, 2)]
    metrics = [PermutedSums(3, None, 30) for _ in range(4)]
    for metric, batches in zip(metrics, ([0, 1], [1, 0], [0], [1]), strict=True):
        for batch in batches:
            metric.update(vectors[batch], None, 12, batch)
    one, turned, first, second = (metric.compute() for metric in metrics)
    assert torch.equal(one, turned)
    assert torch.equal(one, first + second)


def test_wrong_lists():
    metric = PermutedSums(1, 1, 20)
    with pytest.raises(ValueError, match="vectors_b"):
        metric.update(torch.ones(1, 6), None, 4, 0)


@pytest.mark.parametrize("n", [5, 6])
def test_the_mean_over_all_permutations(n):
    """0 of unbiased CKA; tr K tr L / ((n - 1) |K| |L|) of biased."""
    x, y = gaussians((n, 4), (n, 3))
    every = torch.tensor(list(itertools.permutations(range(n))))
    means = {}
    for estimator in ("unbiased", "biased"):
        vx, vy = vectoriser("linear", estimator)([x]), vectoriser("linear", estimator)([y])
        diagonal = estimator == "biased"
        index = permuted_pairs(every, pairs_of(n, diagonal), diagonal)
        means[estimator] = (vx[0][index] @ vy[0] / (vx.norm() * vy.norm())).mean().item()
    assert means["unbiased"] == pytest.approx(0, abs=1e-14)
    assert means["biased"] == pytest.approx(biased_mean(x, y), rel=1e-12)


def biased_mean(x, y):
    k, l = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))  # noqa: E741
    return (k.trace() * l.trace() / ((len(x) - 1) * k.norm() * l.norm())).item()


@pytest.fixture(scope="module")
def demo_null():
    """estimator -> observed CKA of the demo pair, and under 2,000 permutations."""
    x, y = demo()
    found = {}
    for estimator in ("unbiased", "biased"):
        cka, null = CKA(1, 1, estimator=estimator), PermutedSums(1, 1, 1999, estimator=estimator)
        null.update(cka.vectors([x]), cka.vectors([y]), 100, 0)
        cka.update([x], [y])
        values = null.compute()[:, 0, 0] / cka.norms().prod()
        found[estimator] = cka.compute().cka.reshape(()), values
    return found


@pytest.mark.parametrize(
    ("estimator", "mean", "tau"), [("unbiased", 0, 0.0237128), ("biased", 0.09124511, 0.1121871)]
)
def test_the_demo_pair(demo_null, estimator, mean, tau):
    """tau: the 95 % line that calibrated-similarity finds with 199 permutations of its own."""
    observed, null = demo_null[estimator]
    if estimator == "biased":
        assert biased_mean(*demo()) == pytest.approx(mean, abs=1e-8)
    found = calibrated(observed, null)
    assert abs(found.null_mean.item() - mean) < 4 * null.std().item() / len(null) ** 0.5
    # a line of 199 is the quantile .95 +- .0155 (binomial)
    low, high = np.quantile(null, [0.91, 0.99])
    assert low < tau < high
    assert low < found.line.item() < high
    assert found.p_value.item() == 1 / 2000
    score = {"unbiased": 0.5016389, "biased": 0.5017117}[estimator]
    assert found.score.item() == pytest.approx(score, abs=0.5 * (high - low))


def test_the_spread_of_unbiased_cka_by_chance(demo_null):
    _, null = demo_null["unbiased"]
    assert null.std().item() == pytest.approx(math.sqrt(2 / (100 * 97)), rel=0.1)


def test_calibrated_is_that_of_calibrated_similarity():
    """And its numbers of the demo pair are those that are published (to float32)."""
    x, y = demo()
    known = {"biased": (0.1121871, 0.5017117), "unbiased": (0.0237128, 0.5016389)}
    for estimator, (tau, score) in known.items():
        vectors, values = vectoriser("linear", estimator), []

        def similarity(a, b, vectors=vectors, values=values):
            va, vb = vectors([a]), vectors([b])
            values.append((va @ vb.T / (va.norm() * vb.norm())).item())
            return values[-1]

        theirs = calibrated_similarity.calibrate(
            x, y, similarity, K=199, generator=torch.Generator().manual_seed(0)
        )
        observed, *null = torch.tensor(values, dtype=torch.float32).double()
        ours = calibrated(observed, torch.stack(null))
        for found, expected in zip((ours.score, ours.p_value, ours.line), theirs, strict=True):
            assert found.item() == pytest.approx(expected.item(), abs=1e-7)
        assert ours.p_value.item() == 0.005
        assert ours.line.item() == pytest.approx(tau, abs=1e-7)
        assert ours.score.item() == pytest.approx(score, abs=1e-7)


@pytest.mark.parametrize(
    ("replicates", "alpha", "place"),
    [(19, 0.05, 19), (99, 0.05, 95), (200, 0.05, 191), (9, 0.1, 9)],
)
def test_the_line_is_an_order_statistic(replicates, alpha, place):
    null = torch.randperm(replicates, generator=torch.Generator().manual_seed(0)) / replicates
    found = calibrated(torch.tensor(-1.0).double(), null.double(), alpha)
    ordered = [-1, *sorted(null.tolist())]
    assert found.line.item() == pytest.approx(ordered[place - 1])
    assert found.p_value.item() == 1 and found.score.item() == 0
    high = calibrated(torch.tensor(0.999).double(), null.double(), alpha)
    assert high.p_value.item() == 1 / (replicates + 1)
    tau = sorted([*null.tolist(), 0.999])[place - 1]
    assert high.score.item() == pytest.approx((0.999 - tau) / (1 - tau))


def test_above_the_line_is_a_p_value_of_alpha():
    observed = torch.linspace(0, 1, 41, dtype=torch.float64) + 1e-3
    null = (torch.arange(1, 41, dtype=torch.float64) / 40)[:, None].expand(40, 41)
    found = calibrated(observed, null)
    assert ((observed > found.line) == (found.p_value <= 0.05)).all()
    assert 1 <= (found.p_value <= 0.05).sum() <= 3


def test_blanks_and_ties():
    observed = torch.tensor([0.5, torch.nan, 0.5, 1.0], dtype=torch.float64)
    null = torch.zeros(19, 4, dtype=torch.float64)
    null[3, 2] = torch.nan
    null[:, 3] = 1
    found = calibrated(observed, null)
    assert [values.isnan().tolist() for values in found] == [[False, True, True, False]] * 4
    # all the same: neither above chance, nor a division by zero
    assert found.p_value[3] == 1 and found.score[3] == 0 and found.line[3] == 1
    # a permutation that changes nothing counts, whatever float32 makes of it
    null[0, 0] = 0.5 - 1e-7
    assert calibrated(observed, null).p_value[0] == 2 / 20


def test_p_values_are_uniform_under_independence():
    """1,000 runs: of one pair, and of the best of 3 x 4; Kolmogorov-Smirnov at 1 %."""
    vectors, replicates = vectoriser("linear", "unbiased"), 99
    alone, best = [], []
    for run in range(1000):
        metric, sums, own = PermutedSums(3, 4, replicates, run), 0, [0, 0]
        for batch in range(2):
            x, y = gaussians((16, 6), (16, 5), seed=1000 * run + batch)
            # layers of one network are alike
            a = [x, x.relu(), x[:, :3]]
            b = [y, y.square(), y[:, 2:], y.relu()]
            va, vb = vectors(a), vectors(b)
            metric.update(va, vb, 16, batch)
            sums = sums + va @ vb.T
            own = [so_far + v.square().sum(1) for so_far, v in zip(own, (va, vb), strict=True)]
        scale = torch.outer(*own).sqrt()
        observed, null = sums / scale, metric.compute() / scale
        alone.append(calibrated(observed[0, 1], null[:, 0, 1]).p_value.item())
        best.append(calibrated(observed.max(), null.amax((1, 2))).p_value.item())
    jitter = np.random.RandomState(0).rand(2, 1000) / (replicates + 1)
    for found, spread in zip((alone, best), jitter, strict=True):  # of steps to a line
        assert stats.kstest(np.array(found) - spread, "uniform").pvalue > 0.01
