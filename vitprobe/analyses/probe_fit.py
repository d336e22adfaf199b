"""From what was kept of a layer to the accuracy of its probe: which penalty, which solver."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprobe.analyses.probe_options import (
    BIG_VISION_L2,
    NEIGHBOURS,
    TEMPERATURE,
    ProbeOptions,
)
from vitprobe.ops.wide import wide
from vitprobe.probes import (
    big_vision,
    knn_scores,
    logistic,
    plus_minus_one,
    ridge,
    ridge_from_sums,
)

RIDGE_L2S = tuple(10.0**k for k in range(-6, 3))  # times the mean variance of a feature, times n
LOGISTIC_L2S = (0.01, 0.1, 1.0, 10.0, 100.0)  # of standardised features
ROUGH = 1e-4  # tolerance of the fits among which one is chosen
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
        return (scores.argmax(1).cpu() == self.labels.cpu()).double().mean().item()


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
    scale = gram.trace().item() / len(gram)
    if not scale > len(gram) * 1e-15 * sums.gram.trace().item() / len(gram):
        return Fitted([], blank=CONSTANT)
    l2s = options.l2s or [scale * l2 for l2 in RIDGE_L2S]
    l2 = l2s[0]
    if options.chooses:
        l2 = _best(*ridge_from_sums(gram, *rest, l2s), held, l2s)
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
    seed: int = 0,
) -> Fitted:
    """A probe of each draw of training examples (one: all of them), with one penalty for all.

    held: to choose the penalty by; where all are trained on, the probe is then fitted with it.
    """
    if options.solver == "knn":
        return _neighbours(draws, test, classes, options)
    first = draws[0].x
    if not (first != first[:1]).any():
        return Fitted([], blank=CONSTANT)
    if options.convention:
        l2 = options.l2s[0] if options.l2s else BIG_VISION_L2
        found = []
        for k, each in enumerate(draws):
            shots = int(each.labels.bincount().max())
            scores = big_vision(each.x, each.labels, test.x, shots, seed + k, l2, classes)
            found.append(test.accuracy(scores))
        return Fitted(found, l2, "dual" if len(draws[0]) <= first.shape[1] else "features")
    solves = [_solver(each, classes, options) for each in draws]
    l2s = options.l2s or _l2s(draws[0], options)
    l2 = l2s[0]
    if options.chooses:
        tried = torch.tensor([_accuracies(*solve(l2s, ROUGH), held) for solve in solves])
        l2 = l2s[_last_best(tried.double().mean(0))]
        if options.shots is None:
            solves = [_solver(draws[0] + held, classes, options)]
    found = []
    for solve in solves:
        weights, bias = solve([l2], 1e-8)
        found.append(test.accuracy(wide(test.x) @ weights[0] + bias[0]))
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
    if options.solver == "logistic":
        return list(LOGISTIC_L2S)
    x = wide(examples.x)
    scale = (x - x.mean(0)).square().sum().item() / x.shape[1]
    return [scale * l2 for l2 in RIDGE_L2S]


def _solver(examples: Examples, classes: int, options: ProbeOptions) -> Solve:
    """Weights and biases, of features as they are."""
    if options.solver == "ridge":
        targets = plus_minus_one(examples.labels, classes)
        return lambda l2s, tolerance: ridge(examples.x, targets, l2s)
    x = wide(examples.x)
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    x = (x - mean) / scale

    def solve(l2s: Sequence[float], tolerance: float) -> tuple[Tensor, Tensor]:
        weights, bias = logistic(x, examples.labels, classes, l2s, tolerance)
        weights = weights / scale[:, None].to(weights)
        return weights, bias - mean.to(weights) @ weights

    return solve


def _accuracies(weights: Tensor, bias: Tensor, examples: Examples) -> list[float]:
    """Of each penalty."""
    x = wide(examples.x).to(weights.device)
    return [examples.accuracy(x @ w + b) for w, b in zip(weights, bias, strict=True)]


def _best(weights: Tensor, bias: Tensor, held: Examples, l2s: Sequence[float]) -> float:
    return l2s[_last_best(torch.tensor(_accuracies(weights, bias, held)))]


def _last_best(accuracies: Tensor) -> int:
    """Of several that are best the one with the largest penalty."""
    return int((accuracies == accuracies.max()).nonzero()[-1])
