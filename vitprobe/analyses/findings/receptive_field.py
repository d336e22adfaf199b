"""What receptive fields show: how far the first layers see, and how that grows."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared

QUESTION = Question("which pixels does the centre of a layer depend on?", "Fig. 6")
_NAME = "half of the gradient lies within"


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model its last block against its first; of each pair the first blocks."""
    found = [one for result in results for one in _growth(result)]
    return found + [one for pair in combinations(results, 2) for one in _first(*pair)]


def _growth(result: xr.Dataset) -> list[Finding]:
    model, places = result.attrs["model"], _places(result)
    if len(places) < 2:
        return []
    first, last = (str(result["layer"].values[place]) for place in (places[0], places[-1]))

    def said(word: str) -> str:
        return f"the centre of {last} of {model} sees {word} than that of {first}"

    return [
        compared(
            QUESTION,
            (model,),
            _radius(result, places[-1]),
            _radius(result, places[0]),
            result.attrs["examples"] - 1,
            more=said("farther"),
            less=said("less far"),
            whether=said("farther"),
            name=_NAME,
            unit="px",
        )
    ]


def _first(one: xr.Dataset, other: xr.Dataset) -> list[Finding]:
    both = one, other
    models, places = [each.attrs["model"] for each in both], [_places(each) for each in both]
    if not all(places):
        return []
    names = [str(each["layer"].values[of[0]]) for each, of in zip(both, places, strict=True)]
    radii = [_radius(each, of[0]) for each, of in zip(both, places, strict=True)]
    unit = "px"
    if len({each.attrs["model_image_size"] for each in both}) > 1:  # as a share of the image
        radii = [r.scaled(100 / each.sizes["row"]) for r, each in zip(radii, both, strict=True)]
        unit = "% of the image's height"

    def said(word: str) -> str:
        return f"{names[0]} of {models[0]} sees {word} than {names[1]} of {models[1]}"

    return [
        compared(
            QUESTION,
            models,
            *radii,
            min(each.attrs["examples"] for each in both) - 1,
            more=said("farther"),
            less=said("less far"),
            whether=said("farther"),
            name=_NAME,
            unit=unit,
        )
    ]


def _radius(result: xr.Dataset, place: int) -> Number:
    return Number(*(float(result[name].values[place]) for name in ("r50", "r50_se")))


def _places(result: xr.Dataset) -> list[int]:
    """Of the blocks with values; of all layers with values where there are no such blocks."""
    there = np.isfinite(result["r50"].values)
    blocks = there & (result["kind"].values == "block")
    return np.flatnonzero(blocks if blocks.any() else there).tolist()
