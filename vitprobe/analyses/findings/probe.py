"""What probes show: where a model knows the class, and how early beside another.

Errors are over test images (or draws), without batches: told by the normal distribution.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared, sign

QUESTION = Question("what do the layers know of the class, from the bottom to the top?", "Fig. 13")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model, and of each pair of them."""
    read = [(each, _depths(each)) for each in results if "token" not in each["accuracy"].dims]
    read = [(each, layers) for each, layers in read if layers]
    found = [one for each, layers in read for one in _rise(each, layers)]
    pairs = combinations(read, 2)
    return found + [one for pair in pairs for one in _half_way(*pair)]


def _depths(result: xr.Dataset) -> list[tuple[str, Number]]:
    """Name and accuracy of each layer that has one, in % of the test images; without the output
    where there are others."""
    tested = result.attrs["examples_test"]
    found = []
    for name, accuracy, error in zip(
        *(result[key].values for key in ("layer", "accuracy", "accuracy_se")), strict=True
    ):
        if np.isfinite(accuracy):
            # all right or all wrong: not without an error (Laplace's rule of succession)
            share = (accuracy * tested + 1) / (tested + 2)
            error = error or math.sqrt(share * (1 - share) / tested)
            found.append((str(name), Number(100 * accuracy, 100 * error)))
    inner = [each for each in found if each[0] != "output"]
    return inner or found


def _rise(result: xr.Dataset, layers: Sequence[tuple[str, Number]]) -> list[Finding]:
    """Whether the last layer knows more than the first, and which is the first of the best."""
    model = result.attrs["model"]
    (first, low), (last, high) = layers[0], layers[-1]
    if len(layers) < 2:
        return []

    def said(word: str) -> str:
        return f"a linear probe reads {word} of the class from {last} of {model} than from {first}"

    found = [
        compared(
            QUESTION,
            (model,),
            high,
            low,
            math.inf,
            more=said("more"),
            less=said("less"),
            whether=said("more"),
            name="accuracy",
            unit="%",
        )
    ]
    best = max(range(len(layers)), key=lambda k: layers[k][1].value)
    rivals = len(layers) - 1
    near = [
        k for k, (_, own) in enumerate(layers) if not sign(layers[best][1], own, math.inf, rivals)
    ]
    name, value = layers[near[0]]
    chance = f"chance: {100 * result.attrs['chance']:.3g} %"
    told = len(near) < len(layers)
    sentence = (
        f"{name} is the first layer of {model} of which a probe reads as much as of the best, "
        f"{layers[best][0]} (accuracy {value} % against {layers[best][1]} %; {chance})"
        if told
        else f"which layer of {model} knows most of the class cannot be told (accuracy at most "
        f"{layers[best][1]} %, at {layers[best][0]}; {chance})"
    )
    return [*found, Finding(sentence, QUESTION, (model,), told, value.value, value.error, "%")]


def _half_way(
    one: tuple[xr.Dataset, Sequence[tuple[str, Number]]],
    other: tuple[xr.Dataset, Sequence[tuple[str, Number]]],
) -> list[Finding]:
    """Which of two models knows more in the middle of its depth."""
    models = [each.attrs["model"] for each, _ in (one, other)]
    middle = [layers[len(layers) // 2] for _, layers in (one, other)]
    one_layer, other_layer = (name for name, _ in middle)

    def said(word: str) -> str:
        return (
            f"half-way up, a probe reads {word} of the class from {one_layer} of {models[0]} than "
            f"from {other_layer} of {models[1]}"
        )

    return [
        compared(
            QUESTION,
            models,
            middle[0][1],
            middle[1][1],
            math.inf,
            more=said("more"),
            less=said("less"),
            whether=said("more"),
            name="accuracy",
            unit="%",
        )
    ]
