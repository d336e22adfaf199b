"""What skips show: how strong they are beside their branches, and whether class token and patches
take turns."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import (
    Finding,
    Number,
    Question,
    compared,
    halves,
    sign,
)

QUESTION = Question("how strong are skips beside the branches, in low and high layers?", "Fig. 7")
_RATIO = "|skip| / |branch|"
_HALF = {
    1: "in the {what} half they are stronger for the class token than for patches {numbers}",
    -1: "in the {what} half they are weaker for the class token than for patches {numbers}",
    0: "in the {what} half the class token's and the patches' are not told apart {numbers}",
}


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model, then of each pair."""
    found = [one for result in results for one in (*_strength(result), *_phases(result))]
    return found + [one for pair in combinations(results, 2) for one in _stronger(*pair)]


def _strength(result: xr.Dataset) -> list[Finding]:
    """In how many residual sums the skip is stronger than its branch."""
    model, numbers = result.attrs["model"], _numbers(result, "patches")
    if not numbers:
        return []
    one, df = Number(1.0, 0.0), result.attrs["examples"] - 1
    signs = [sign(number, one, df, len(numbers)) for number in numbers]
    more, less, unknown = (signs.count(which) for which in (1, -1, 0))
    low, high = (pick(numbers, key=lambda each: each.value) for pick in (min, max))
    span = f"({_RATIO} of patches: {low} to {high})"
    if more == len(signs):
        words = f"in every residual sum of {model} the skip is stronger than the branch"
    elif less == len(signs):
        words = f"in every residual sum of {model} the skip is weaker than the branch"
    elif more or less:
        words = (
            f"the skip is stronger than the branch in {more} of {len(signs)} residual sums of "
            f"{model}, and weaker in {less}"
        )
        words += f"; {unknown} {'is' if unknown == 1 else 'are'} not told apart" if unknown else ""
    else:
        words = f"whether the skips of {model} are stronger than the branches cannot be told"
    mean = _mean(result, "patches", slice(None))
    return [
        Finding(f"{words} {span}", QUESTION, (model,), bool(more or less), mean.value, mean.error)
    ]


def _phases(result: xr.Dataset) -> list[Finding]:
    """Raghu et al. find: skips hand on the class token in the first half, patches in the second."""
    model, df = result.attrs["model"], result.attrs["examples"] - 1
    if not _numbers(result, "cls"):
        return []
    signs, told, widths = [], [], []
    for what, part in zip(("lower", "upper"), halves(result.sizes["layer"]), strict=True):
        cls, patches = (_mean(result, group, part) for group in ("cls", "patches"))
        signs.append(sign(cls, patches, df))
        widths.append(cls - patches)
        numbers = f"({cls} against {patches})"
        told.append(_HALF[signs[-1]].format(what=what, numbers=numbers))
    numbers = "; ".join(told)
    is_told = True
    if signs == [1, -1]:
        words = f"skips of {model} hand on the class token first and patches later"
    elif signs[0] == -1 or signs[1] == 1:
        words = f"skips of {model} do not hand on the class token first and patches later"
    else:
        is_told = False
        words = f"whether skips of {model} hand on the class token first and patches later cannot "
        words += "be told"
    sentence = f"{words}: {numbers}"
    turn = widths[0] - widths[1]
    return [Finding(sentence, QUESTION, (model,), is_told, turn.value, turn.error)]


def _stronger(first: xr.Dataset, second: xr.Dataset) -> list[Finding]:
    one, other = (each.attrs["model"] for each in (first, second))
    means = [_mean(each, "patches", slice(None)) for each in (first, second)]
    if any(np.isnan(mean.value) for mean in means):
        return []

    def said(word: str) -> str:
        return f"skips are {word} beside the branches in {one} than in {other}"

    return [
        compared(
            QUESTION,
            (one, other),
            *means,
            min(each.attrs["examples"] for each in (first, second)) - 1,
            more=said("stronger"),
            less=said("weaker"),
            whether=said("stronger"),
            name=f"geometric mean of {_RATIO}",
        )
    ]


def _mean(result: xr.Dataset, group: str, part: slice) -> Number:
    here = result.sel(group=group)
    return Number.geometric(here["ratio"].values[part], here["ratio_se"].values[part])


def _numbers(result: xr.Dataset, group: str) -> list[Number]:
    here = result.sel(group=group)
    pairs = zip(here["ratio"].values, here["ratio_se"].values, strict=True)
    return [Number(float(value), float(error)) for value, error in pairs if np.isfinite(value)]
