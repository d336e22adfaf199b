"""`vitprobe.probe_features`: what a linear probe, or neighbours, read from given features."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.probes.choose import (
    LOGISTIC_POWERS,
    RIDGE_POWERS,
    best,
    held_out,
    l2_candidates,
)
from vitprobe.probes.few_shot import BIG_VISION_L2, big_vision_weights, shots_of
from vitprobe.probes.given import given
from vitprobe.probes.knn import knn_scores
from vitprobe.probes.logistic import logistic
from vitprobe.probes.predictions import accuracy, predictions
from vitprobe.probes.result import ProbeResult
from vitprobe.probes.ridge import plus_minus_one, ridge
from vitprobe.probes.standardise import standard

SOLVERS = ("ridge", "logistic", "knn")
CONVENTIONS = ("big_vision",)


def probe_features(
    x_train: Any,
    y_train: Any,
    x_test: Any,
    y_test: Any,
    *,
    solver: str = "ridge",
    l2: float | Sequence[float] | None = None,
    shots: int | None = None,
    draws: int = 5,
    seed: int = 0,
    k: int = 20,
    temperature: float = 0.07,
    standardise: bool | None = None,
    convention: str | None = None,
    fraction: float = 0.2,
) -> ProbeResult:
    """How well a probe, fitted to training features, tells the classes of test features.

    Args:
        x_train: (n, p) features, NumPy or torch, any real type; (n, ...) is flattened.
        y_train: (n,) labels, integers or names.
        x_test: (m, p).
        y_test: (m,).
        solver: "ridge" to +-1 targets (`vitprobe.probes.ridge`), "logistic" (multinomial), or
            "knn" (weighted nearest neighbours).
        l2: the penalty, as scikit-learn's Ridge(alpha=l2) and LogisticRegression(C=1 / l2); several
            or None: the one that is best on held-out training examples (None: of powers of ten
            times the features' energy). Then the probe is fitted to all training examples.
        shots: that many training examples a class, drawn `draws` times (seeds from `seed` on, as
            big_vision draws); l2 is chosen on the others, one for all draws.
        k, temperature: of "knn".
        standardise: features to mean 0 and standard deviation 1 of the training examples; None:
            for logistic regression only.
        convention: "big_vision": its few-shot probe (ridge; l2 = 2^10 unless given).
        fraction: of training examples held out to choose l2.

    Returns: a `ProbeResult`; float64 inside.

    Raises:
        InputError: features and labels that do not fit, are missing or not finite; one class; more
            shots or neighbours than examples; an unknown solver or convention.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> x, y = load_digits(return_X_y=True)
        >>> found = probe_features(x[:1000], y[:1000], x[1000:], y[1000:], l2=1)
        >>> round(found.accuracy, 4), round(found.norm, 4)
        (0.8921, 1.6808)
    """
    for name, value, known in (
        ("solver", solver, SOLVERS),
        ("convention", convention or "big_vision", CONVENTIONS),
    ):
        if value not in known:
            raise InputError(
                f"unknown {name} {value!r}: there is {', '.join(known)}"
                + did_you_mean(str(value), known)
            )
    if convention and (solver != "ridge" or shots is None or standardise is not None):
        raise InputError(
            f"{option('convention', convention)} is a ridge probe of a few shots with its own "
            f"standardisation: give {option('shots')}, and neither another solver nor "
            f"{option('standardise')}"
        )
    if not 0 < fraction < 1 or draws < 1 or not 0 <= seed < 2**63:
        raise InputError("fraction is between 0 and 1, draws are 1 or more, seed is 0 or more")
    if l2 is not None and not isinstance(l2, (int, float, Real)) and not len(l2):
        raise InputError(f"{option('l2')} is a number, several, or None to have it chosen")
    if convention and l2 is None:
        l2 = BIG_VISION_L2
    standardise = solver == "logistic" if standardise is None else standardise
    x, y, test, wanted, classes = given(x_train, y_train, x_test, y_test)
    if shots is None:
        fits = [torch.arange(len(y), device=y.device)]
    else:
        fits = [shots_of(y, shots, seed + draw) for draw in range(draws)]

    def fit(rows: Tensor, l2s: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
        return _fit(x[rows], y[rows], len(classes), solver, l2s, standardise, bool(convention))

    tried: dict[float, float] = {}
    chosen: float | None
    if solver == "knn":
        chosen = None
    elif isinstance(l2, (int, float, Real)):
        chosen = float(l2)
    else:
        l2s = sorted(set(l2)) if l2 is not None else _candidates(x[fits[0]], solver, standardise)
        pairs = _parts(x, y, fits, shots, fraction, seed)
        found = np.zeros(len(l2s))
        for learnt, asked in pairs:
            columns, offsets, _ = fit(learnt, l2s)
            scores = [x[asked] @ w + b for w, b in zip(columns, offsets, strict=True)]
            found += [accuracy(score, y[asked]) / len(pairs) for score in scores]
        tried = dict(zip(l2s, found.tolist(), strict=True))
        chosen = best(tried)

    of_fits, weights, biases, norms = [], [], [], []
    for rows in fits:
        if chosen is None:  # knn
            of_fits.append(knn_scores(x[rows], y[rows], test, len(classes), k, temperature))
            continue
        weight, bias, norm = fit(rows, [chosen])
        of_fits.append(test @ weight[0] + bias[0])
        weights.append(weight[0])
        biases.append(bias[0])
        norms.append(norm[0].item())
    return _result(of_fits, weights, biases, norms, wanted, classes, chosen, tried, solver, shots)


def _fit(
    x: Tensor,
    y: Tensor,
    classes: int,
    solver: str,
    l2s: Sequence[float],
    standardise: bool,
    big_vision: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights and bias for features as they are, and norms of the weights that were penalised."""
    if big_vision:
        return big_vision_weights(x, y, classes, l2s)
    scaling = standard(x) if standardise else None
    inputs = scaling.of(x) if scaling else x
    if solver == "ridge":
        weights, bias = ridge(inputs, plus_minus_one(y, classes), l2s)
    else:
        weights, bias = logistic(inputs, y, classes, l2s)
    norms = weights.flatten(1).norm(dim=1)
    return *(scaling.for_raw(weights, bias) if scaling else (weights, bias)), norms


def _candidates(x: Tensor, solver: str, standardise: bool) -> list[float]:
    x = standard(x).of(x) if standardise else x
    energy = (x - x.mean(0)).square().sum(0).mean().item()
    return l2_candidates(energy, RIDGE_POWERS if solver == "ridge" else LOGISTIC_POWERS)


def _parts(
    x: Tensor, y: Tensor, fits: list[Tensor], shots: int | None, fraction: float, seed: int
) -> list[tuple[Tensor, Tensor]]:
    """Of each fit the examples that it learns from and those that it is asked to choose l2."""
    if shots is None:
        out = held_out(x, y, fraction, seed).to(y.device)
        if not out.any():
            raise InputError(
                f"no class has two training examples, so that none can be held out to choose "
                f"{option('l2')}: give it"
            )
        return [((~out).nonzero()[:, 0], out.nonzero()[:, 0])]
    pairs = []
    for rows in fits:
        left = torch.ones_like(y, dtype=torch.bool)
        left[rows] = False
        pairs.append((rows, left.nonzero()[:, 0]))
    if not len(pairs[0][1]):
        raise InputError(
            f"{option('shots', shots)} takes all training examples, so that none is left to choose "
            f"{option('l2')}: give it"
        )
    return pairs


def _result(
    scores, weights, biases, norms, wanted, classes, chosen, tried, solver, shots
) -> ProbeResult:
    found = torch.tensor([accuracy(score, wanted) for score in scores], dtype=torch.float64)
    mean = found.mean().item()
    if shots is None:
        tests = len(wanted) - 1
        error = math.sqrt(mean * (1 - mean) / tests) if tests else math.nan
    else:
        error = (found.std() / len(found) ** 0.5).item() if len(found) > 1 else math.nan
    losses = [cross_entropy(score, wanted).item() for score in scores]

    def array(parts: list[Tensor]):
        if not parts:
            return None
        return (parts[0] if shots is None else torch.stack(parts)).cpu().numpy()

    return ProbeResult(
        accuracy=mean,
        accuracy_se=error,
        log_loss=sum(losses) / len(losses) if solver == "logistic" else None,
        l2=chosen,
        norm=sum(norms) / len(norms) if norms else None,
        accuracies=found.numpy(),
        held_out=tried,
        classes=classes,
        predictions=classes[array([predictions(score) for score in scores])],
        scores=array(scores),
        weights=array(weights),
        bias=array(biases),
    )
