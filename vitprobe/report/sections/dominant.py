"""Dominant examples: who they are, and similarities of layers with and without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.report.kinds import Axis, Gallery, Kind, Lines, Map, Series
from vitprobe.report.layers import interval, layer_axis
from vitprobe.report.provenance import heading
from vitprobe.report.sections.cka import sheet_of, side_of


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """Of each result a map with two sheets, the first component's share, and the examples."""
    return [kind for result in results for kind in _of(result)]


def _of(result: xr.Dataset) -> list[Kind]:
    for name in ("cka", "cka_without"):
        if name not in result or set(result[name].dims) != {"layer_a", "layer_b"}:
            raise InputError(f"cannot show this result: it has no {name!r} over layers")
    examples = _examples(result)
    return [_maps(result), _shares(result), *([] if examples is None else [examples])]


def _maps(result: xr.Dataset) -> Map:
    model, attrs = str(result.attrs.get("model", "model")), result.attrs
    whole = result.assign_attrs(model_a=model, model_b=model)
    reasons = [str(each) for each in result["blank_without"].values]
    without = whole.drop_vars(["cka", "cka_se"])
    without = without.rename(cka_without="cka", cka_without_se="cka_se")
    without = without.assign_coords(blank_a=("layer_a", reasons), blank_b=("layer_b", reasons))
    count = int(attrs.get("examples_left_out", 0))
    sheets = [
        sheet_of(whole, "cka", "all examples"),
        sheet_of(without, "cka", f"without the {count:,} dominant examples"),
    ]
    return Map(
        f"Layers of {heading(result)}",
        side_of(whole, "a"),
        side_of(whole, "b"),
        sheets,
        f"CKA of {int(attrs.get('examples', 0)):,} examples, and without the {count:,} that stand "
        "out most in their batches.",
    )


def _shares(result: xr.Dataset) -> Lines:
    """The first principal component's share of each layer's variance."""
    layers = [str(name) for name in result["layer"].values]
    pairs = zip(result["layer_example"].values, result["layer_norm"].values, strict=True)
    names = [
        f"largest: example {int(example)}, {norm:.3g} times the mean" if example >= 0 else ""
        for example, norm in pairs
    ]
    series = Series(
        "first principal component",
        result["first_share"].values,
        error=result["first_share_se"].values,
        interval=interval(result.attrs),
        names=names,
    )
    return Lines(
        f"First component of {heading(result)}",
        layer_axis(layers),
        Axis("share of the variance", low=0.0, high=1.0),
        [series],
        caption="Where a few examples rule a layer, its first principal component holds most of "
        "the variance.",
    )


def _examples(result: xr.Dataset) -> Gallery | None:
    """None where the model is shown no images."""
    if "thumbnail" not in result or not result.sizes["rank"]:
        return None
    columns = (result[name].values.tolist() for name in ("examples", "label", "score"))
    names = [
        "\n".join(filter(None, (f"example {example:,}", _class(label), _score(score))))
        for example, label, score in zip(*columns, strict=True)
    ]
    return Gallery(
        f"Examples with the largest activations in {heading(result)}",
        result["thumbnail"].transpose("rank", "y", "x", "rgb").values.astype(np.uint8),
        names,
        "rank",
        "Score: squared norm over the mean of its batch, mean over layers; 1 is average.",
    )


def _class(label: int) -> str:
    return f"class {label}" if label >= 0 else ""


def _score(score: float) -> str:
    return f"score {score:,.0f}" if score >= 100 else f"score {score:.2f}"
