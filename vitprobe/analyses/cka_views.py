"""How each model is looked at, and which pairs of views make the results of one run."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from vitprobe.errors import InputError
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, data_facts, model_facts
from vitprobe.taps.tokens import check_tokens

LayerSpec = str | type | Sequence[str | type]


@dataclass(frozen=True)
class View:
    """A model, the selection of layers as it was asked for, and which tokens of them."""

    subject: int  # its place among `Inputs.subjects`
    layers: Hashable
    tokens: str


def views_of(inputs: Inputs, layers: Sequence, tokens: str | Sequence[str]) -> list[View]:
    """One view for each model given; what was given twice, with the same layers and tokens, once.

    layers: one selection for each model. tokens: one word for all models, or one for each.

    Raises:
        InputError: a word that does not exist, or too many or too few of them.
    """
    count = len(inputs.places)
    words = [tokens] if isinstance(tokens, str) else list(tokens)
    for word in words:
        check_tokens(word)
    if len(words) not in (1, count):
        raise InputError(
            f"{len(words)} choices of tokens ({', '.join(words)}) for {count} "
            f"model{'s' if count > 1 else ''}: give one for all, or one for each"
        )
    words = words * count if len(words) == 1 else words
    asked = [each if isinstance(each, (str, type)) else tuple(each) for each in layers]
    return list(dict.fromkeys(map(View, inputs.places, asked, words)))


def pairs(count: int) -> list[tuple[int, int]]:
    """(0, 1), (0, 2), ..., then (0, 0), (1, 1), ... of so many views."""
    return [*combinations(range(count), 2), *((k, k) for k in range(count))]


def pair_facts(
    inputs: Inputs, views: Sequence[View], estimator: str, kernel: str
) -> list[dict[str, Any]]:
    """For each of `pairs`, what decides its numbers, as attributes of its result."""
    shared = data_facts(inputs) | {
        "passes": inputs.loader.passes,
        "estimator": estimator,
        "kernel": kernel,
    }
    return [
        {"analysis": "cka", **_facts("a", inputs, views[i]), **_facts("b", inputs, views[j])}
        | shared
        for i, j in pairs(len(views))
    ]


def _facts(side: str, inputs: Inputs, view: View) -> dict[str, Any]:
    facts = model_facts(f"model_{side}", inputs.subjects[view.subject])
    return facts | {f"layers_{side}": as_attribute(view.layers), f"tokens_{side}": view.tokens}
