"""What attention distances show: whether a layer has local and global heads, low and high."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared, sign

QUESTION = Question("how far do heads look, in low and in high layers?", "Fig. 3")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model: the heads of its first and last layer, and which look farther."""
    return [found for result in results for found in _of_model(result)]


def _of_model(result: xr.Dataset) -> list[Finding]:
    there = np.flatnonzero(result["distance"].notnull().any("head").values)
    layers = (
        [result.isel(layer=place) for place in dict.fromkeys(there[[0, -1]])] if len(there) else []
    )
    found = [_heads(layer, result.attrs) for layer in layers]
    return found + (_depth(*layers, result.attrs) if len(layers) == 2 else [])


def _heads(layer: xr.Dataset, attrs) -> Finding:
    """From the nearest to the farthest head of one layer."""
    model, name = attrs["model"], _name(layer)
    distance, errors = layer["distance"].values, layer["distance_se"].values
    near, far = (
        Number(float(distance[k]), float(errors[k]))
        for k in (np.nanargmin(distance), np.nanargmax(distance))
    )
    heads = int(np.isfinite(distance).sum())
    uniform = f"uniform attention: {float(layer['distance_uniform']):.1f} px"
    spread = far - near
    if heads == 1:
        sentence = f"the one head of {name} of {model} looks {far} px far ({uniform})"
        told = not np.isnan(far.error)
        return Finding(sentence, QUESTION, (model,), told, far.value, far.error, "px")
    told = bool(sign(far, near, attrs["examples"] - 1, heads * (heads - 1) // 2))
    sentence = f"{name} of {model} look {near} to {far} px far ({uniform})"
    sentence = (
        f"the {heads} heads of {sentence}"
        if told
        else f"whether the {heads} heads of {name} of {model} differ cannot be told: they look "
        f"{near} to {far} px far ({uniform})"
    )
    return Finding(sentence, QUESTION, (model,), told, spread.value, spread.error, "px")


def _depth(first: xr.Dataset, last: xr.Dataset, attrs) -> list[Finding]:
    model = attrs["model"]

    def heads(word: str) -> str:
        return (
            f"heads of the last layer of {model} ({_name(last)}) look {word} than those of the "
            "first"
        )

    return [
        compared(
            QUESTION,
            (model,),
            *(Number.mean(each["distance"].values, each["distance_se"].values) for each in (
                last, first
            )),
            attrs["examples"] - 1,
            more=heads("farther"),
            less=heads("less far"),
            whether=heads("farther"),
            name="mean",
            unit="px",
        )
    ]  # fmt: skip


def _name(layer: xr.Dataset) -> str:
    return str(layer["block"].item() or layer["layer"].item())
