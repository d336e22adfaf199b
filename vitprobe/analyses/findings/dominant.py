"""What dominant examples show: how much one direction holds, and whether CKA rests on a few
images."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared, sign

QUESTION = Question("do a few examples make the blocks in a CKA map?", "Nguyen et al. 2022")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each model."""
    return [one for result in results for one in (*_shares(result), *_without(result))]


def _shares(result: xr.Dataset) -> list[Finding]:
    model, share = result.attrs["model"], result["first_share"].values
    there = np.flatnonzero(np.isfinite(share))
    if len(there) < 2:
        return []
    ends = there[np.argmin(share[there])], there[np.argmax(share[there])]
    names = [str(result["layer"].values[place]) for place in ends]
    low, high = (
        Number(float(share[place]), float(result["first_share_se"].values[place])).scaled(100)
        for place in ends
    )
    pairs = len(there) * (len(there) - 1) // 2
    told = bool(sign(high, low, result.attrs["se_df"], pairs))
    holds = f"{low} % of the variance at {names[0]} and {high} % at {names[1]}"
    sentence = (
        f"one direction holds more and less of layers of {model}: the first principal component "
        f"has {holds}"
        if told
        else f"whether one direction holds more of some layers of {model} than of others cannot be "
        f"told: the first principal component has {holds}"
    )
    return [Finding(sentence, QUESTION, (model,), told, high.value, high.error, "%")]


def _without(result: xr.Dataset) -> list[Finding]:
    attrs, model = result.attrs, result.attrs["model"]
    count = int(attrs.get("examples_left_out", 0))
    upper = np.triu_indices(result.sizes["layer_a"], 1)
    whole, less = (result[name].values[upper] for name in ("cka", "cka_without"))
    there = np.isfinite(whole) & np.isfinite(less)
    if not there.any() or not count:
        return []
    errors = [result[f"{name}_se"].values[upper][there] for name in ("cka", "cka_without")]
    one, other = (Number.mean(x[there], e) for x, e in zip((whole, less), errors, strict=True))

    def said(word: str) -> str:
        return (
            f"CKA among the layers of {model} is {word} without the {count:,} of "
            f"{attrs['examples']:,} examples with the largest activations"
        )

    return [
        compared(
            QUESTION,
            (model,),
            other,
            one,
            attrs["se_df"],
            more=said("higher"),
            less=said("lower"),
            whether=said("another"),
            name="mean CKA",
        )
    ]
