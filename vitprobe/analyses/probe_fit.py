"""From what was kept of a layer to the accuracy of its probe: which penalty, which solver."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprobe.analyses.probe_options import (
    NEIGHBOURS,
    TEMPERATURE,
    ProbeOptions,
)
from vitprobe.ops.wide import wide
from vitprobe.probes import (
    accuracy,
    big_vision_weights,
    knn_scores,
    logistic,
    plus_minus_one,
    ridge,
    ridge_from_sums,
    standard,
)
from vitprobe.probes.choose import LOGISTIC_POWERS, RIDGE_POWERS, best, l2_candidates
from vitprobe.probes.few_shot import BIG_VISION_L2

ROUGH, EXACT = 1e-4, 1e-7  # tolerance of logistic regressions to choose among, and of the chosen
CONSTANT = "constant: the same for every training image"


@dataclass(frozen=True)
class Sums:
    """Of n training examples: gram (p, p), sum of x x^T; of_classes (p, C), sum of the x of each
    class; counts (C,) examples of each. float64."""

    gram: Tensor
    of_classes: Tensor
    counts: Tensor

    @classmethod
    def of(cls, x: Tensor, labels: Tensor, classes: int) -> "Sums":
        """Of features (n, p)."""
        x = wide(x)
        onehot = torch.nn.functional.one_hot(labels.to(x.device), classes).to(x)
        return cls(x.mT @ x, x.mT @ onehot, onehot.sum(0))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.gram + other.gram,
            self.of_classes + other.of_classes,
            self.counts + other.counts,
        )

    def centred(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `ridge_from_sums` takes, of targets 1 at an example's class and -1 elsewhere."""
        n, total = self.counts.sum(), self.of_classes.sum(1)
        mean_x, mean_y = total / n, 2 * self.counts / n - 1
        gram = self.gram - torch.outer(total, mean_x)
        cross = 2 * (self.of_classes - torch.outer(total, self.counts / n))
        return gram, cross, mean_x, mean_y


@dataclass(frozen=True)
class Examples:
    """x: (n, p) features, labels: (n,) int64."""

    x: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: "Examples") -> "Examples":
        return Examples(torch.cat([self.x, other.x]), torch.cat([self.labels, other.labels]))

    def accuracy(self, scores: Tensor) -> float:
        """Share of examples whose class has the highest score, (n, C)."""
        return accuracy(scores, self.labels)


@dataclass(frozen=True)
class Fitted:
    """accuracy on the test examples, of each draw (one, where all are trained on). l2: the penalty
    (NaN: none). how: it was solved. blank: why there is no value, or ""."""

    accuracies: list[float]
    l2: float = math.nan
    how: str = ""
    blank: str = ""

    @property
    def accuracy(self) -> float:
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else math.nan


Solve = Callable[[Sequence[float], float], tuple[Tensor, Tensor]]  # l2s, tolerance -> W, b


def fit_sums(
    sums: Sums, held: Examples, test: Examples, classes: int, options: ProbeOptions
) -> Fitted:
    """A ridge probe of summed training examples; held: to choose the penalty by, then added."""
    gram, *rest = sums.centred()
    energy = gram.trace().item() / len(gram)
    if not gram.trace() > 1e-12 * sums.gram.trace():  # what is left is rounding
        return Fitted([], blank=CONSTANT)
    l2s = options.l2s or l2_candidates(energy, RIDGE_POWERS)
    l2 = l2s[0]
    if options.chooses:
        tried = _accuracies(*ridge_from_sums(gram, *rest, l2s), held)
        l2 = best(dict(zip(l2s, tried, strict=True)))
        sums = sums + Sums.of(held.x, held.labels, classes)
        gram, *rest = sums.centred()
    weights, bias = ridge_from_sums(gram, *rest, [l2])
    scores = wide(test.x) @ weights[0] + bias[0]
    return Fitted([test.accuracy(scores)], l2, "sums")


def fit_examples(
    draws: Sequence[Examples],
    held: Examples,
    test: Examples,
    classes: int,
    options: ProbeOptions,
) -> Fitted:
    """A probe of each draw of training examples (one: all of them), with one penalty for all.

    held: to choose the penalty by; where all are trained on, the probe is then fitted with it.
    """
    first = draws[0].x
    if not (first != first[:1]).any():
        return Fitted([], blank=CONSTANT)
    if options.solver == "knn":
        return _neighbours(draws, test, classes, options)
    if options.convention:
        l2 = options.l2s[0] if options.l2s else BIG_VISION_L2
        found = [big_vision_weights(each.x, each.labels, classes, [l2])[:2] for each in draws]
        accuracies = [_accuracies(*weights, test)[0] for weights in found]
        return Fitted(accuracies, l2, "dual" if len(draws[0]) <= first.shape[1] else "features")
    solves = [_solver(each, classes, options) for each in draws]
    l2s = options.l2s or _l2s(draws[0], options)
    l2 = l2s[0]
    if options.chooses:
        tried = [_accuracies(*solve(l2s, ROUGH), held) for solve in solves]
        means = [sum(of_draws) / len(of_draws) for of_draws in zip(*tried, strict=True)]
        l2 = best(dict(zip(l2s, means, strict=True)))
        if options.shots is None:
            solves = [_solver(draws[0] + held, classes, options)]
    found = [_accuracies(*solve([l2], EXACT), test)[0] for solve in solves]
    dual = "dual" if len(draws[0]) < first.shape[1] else "features"
    return Fitted(found, l2, "L-BFGS" if options.solver == "logistic" else dual)


def _neighbours(
    draws: Sequence[Examples], test: Examples, classes: int, options: ProbeOptions
) -> Fitted:
    k, temperature = options.k or NEIGHBOURS, options.temperature or TEMPERATURE
    found = [
        test.accuracy(
            knn_scores(each.x, each.labels, test.x, classes, min(k, len(each)), temperature)
        )
        for each in draws
    ]
    return Fitted(found, how="neighbours")


def _l2s(examples: Examples, options: ProbeOptions) -> list[float]:
    if options.solver == "logistic":  # of standardised features
        return l2_candidates(len(examples), LOGISTIC_POWERS)
    x = wide(examples.x)
    energy = (x - x.mean(0)).square().sum().item() / x.shape[1]
    return l2_candidates(energy, RIDGE_POWERS)


def _solver(examples: Examples, classes: int, options: ProbeOptions) -> Solve:
    """Weights and biases, of features as they are."""
    if options.solver == "ridge":
        targets = plus_minus_one(examples.labels, classes)
        return lambda l2s, tolerance: ridge(examples.x, targets.to(examples.x.device), l2s)
    x = wide(examples.x)
    scaled = standard(x)

    def solve(l2s: Sequence[float], tolerance: float) -> tuple[Tensor, Tensor]:
        return scaled.for_raw(*logistic(scaled.of(x), examples.labels, classes, l2s, tolerance))

    return solve


def _accuracies(weights: Tensor, bias: Tensor, examples: Examples) -> list[float]:
    """Of each penalty."""
    x = wide(examples.x)
    return [examples.accuracy(x @ w + b) for w, b in zip(weights, bias, strict=True)]
