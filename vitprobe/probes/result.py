"""What a probe of given features found."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ProbeResult:
    """What `vitprobe.probe_features` returns. With `shots` arrays have a first axis `draws`.

    accuracy: share of test examples that are right; the mean over draws.
    accuracy_se: its standard error: over test examples, sqrt(a (1 - a) / (n_test - 1)); with
        shots over draws, their standard deviation / sqrt(draws), NaN of one draw.
    log_loss: mean over test examples of -log of their class's probability, in nats (and over
        draws); None but for logistic regression: other scores are no probabilities.
    l2: the penalty; None for nearest neighbours.
    norm: Frobenius norm of what was penalised: the weights of the (standardised) features; the
        mean over draws. None for nearest neighbours.
    accuracies: (draws,) float64; without shots (1,).
    held_out: of each l2 that was tried, the accuracy on held-out training examples; empty where
        l2 was given.
    classes: (C,) labels, sorted.
    predictions: (n_test,) of `classes`.
    scores: (n_test, C) float64: close to +-1 for ridge, logits, or shares of votes.
    weights, bias: (p, C) and (C,) float64: scores = x_test @ weights + bias, of features as they
        were given. None for nearest neighbours.
    """

    accuracy: float
    accuracy_se: float
    log_loss: float | None
    l2: float | None
    norm: float | None
    accuracies: np.ndarray = field(repr=False)
    held_out: dict[float, float] = field(repr=False)
    classes: np.ndarray = field(repr=False)
    predictions: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    bias: np.ndarray | None = field(repr=False)
