"""What localisation shows: whether tokens keep their place in the image."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared

QUESTION = Question("does a token of the last block still know its place?", "Fig. 9, 10")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model, then of each pair."""
    found = [one for result in results for one in _of_model(result)]
    return found + [one for pair in combinations(results, 2) for one in _of_pair(*pair)]


def _of_model(result: xr.Dataset) -> list[Finding]:
    attrs, numbers = result.attrs, _own_and_others(result)
    if numbers is None:
        return []
    tokens = f"tokens of {attrs['layer']} of {attrs['model']}"
    share, chance = (100 * float(result[key]) for key in ("own_place", "own_place_chance"))
    count = int(result["counted"])
    most = f"of {count} tokens {share:.0f} % are most like it, by chance {chance:.1f} %"
    return [
        compared(
            QUESTION,
            (attrs["model"],),
            *numbers,
            attrs["se_df"],
            more=f"{tokens} keep their place: they are more like the patch there than other "
            f"patches; {most}",
            less=f"{tokens} do not keep their place: they are less like the patch there than "
            f"other patches; {most}",
            whether=f"{tokens} keep their place, more like the patch there than other patches,",
            name="mean CKA",
        )
    ]


def _of_pair(first: xr.Dataset, second: xr.Dataset) -> list[Finding]:
    both = first, second
    models, numbers = [each.attrs["model"] for each in both], [_own_and_others(x) for x in both]
    if None in numbers:
        return []

    def said(word: str) -> str:
        return f"tokens of {models[0]} keep their place {word} than those of {models[1]}"

    return [
        compared(
            QUESTION,
            models,
            *(own - others for own, others in numbers),
            min(each.attrs["se_df"] for each in both),
            more=said("better"),
            less=said("less well"),
            whether=said("better"),
            name="mean CKA with the patch there minus that with others",
        )
    ]


def _own_and_others(result: xr.Dataset) -> tuple[Number, Number] | None:
    """Mean CKA of tokens with their own patch, and with the others; None: there are none."""
    cka, errors = result["cka"].values, result["cka_se"].values
    same = (result["token_row"].values[:, None] == result["row"].values)[:, None, :, None]
    same = same & (result["token_col"].values[:, None] == result["col"].values)[None, :, None, :]
    there = np.isfinite(cka)
    own, others = same & there, ~same & there
    if not own.any() or not others.any():
        return None
    return Number.mean(cka[own], errors[own]), Number.mean(cka[others], errors[others])
