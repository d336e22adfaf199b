"""Feature maps of single images: a slider of layers, the channels that respond most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.report.kinds import Dim, Gallery, Stack
from vitprobe.report.provenance import heading
from vitprobe.report.sections._filters import filter_gallery


def figures(results: Sequence[xr.Dataset]) -> list[Stack | Gallery]:
    """Of each result its maps; then the filters of each model once."""
    models: dict[str, xr.Dataset] = {}
    for result in results:
        models.setdefault(str(result.attrs.get("model")), result)
    filters = [gallery for result in models.values() for gallery in filter_gallery(result)]
    return [_maps(result) for result in results] + filters


def _maps(result: xr.Dataset) -> Stack:
    result = result.transpose("image", "layer", "rank", "row", "col", ...)
    mean, top = result["channel_mean"].values, result["top"].values
    values = np.concatenate([mean[:, :, None], top], 2)
    grids = np.stack([result["rows"].values, result["cols"].values], -1)
    used = np.broadcast_to(grids[None, :, None], (*values.shape[:3], 2))
    layers = [str(name) for name in result["layer"].values]
    return Stack(
        f"Feature maps of {heading(result)}",
        [
            Dim("image", [f"image {name}" for name in result["image"].values]),
            Dim("layer", layers, slider=True, start=len(layers) // 2),
            Dim("channel", ["mean", *_ranks(top.shape[2])]),
        ],
        values,
        used=used,
        unit="activation",
        said=_said(result, values),
        pictures=result["picture"].transpose("image", "y", "x", "rgb").values,
        opacity=1.0,
        caption="As the network computes them: the mean over channels, and the channels that "
        f"respond most (with the largest {result.attrs.get('strongest', 'activations')}).",
    )


def _ranks(count: int) -> list[str]:
    """In words: `strongest`, `2nd`, `3rd`, `4th`."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    ordinals = (
        f"{k}{ends.get(k % 10 if k % 100 // 10 != 1 else 0, 'th')}" for k in range(2, count + 1)
    )
    return ["strongest", *ordinals][:count]


def _said(result: xr.Dataset, values: np.ndarray) -> np.ndarray:
    """Which channel each map is of, and the layer's size; or why there is no map."""
    said = np.full(values.shape[:3], "", object)
    channels, strengths = result["top_channel"].values, result["strength"].values
    columns = (result[name].values for name in ("channels", "rows", "cols", "blank"))
    for layer, (count, rows, cols, blank) in enumerate(zip(*columns, strict=True)):
        size = "; ".join(filter(None, (f"{rows} x {cols} positions", str(blank))))
        said[:, layer, 0] = f"mean of {count:,} channels; {size}"
        for image, place in np.ndindex(said.shape[0], said.shape[2] - 1):
            channel, strength = channels[image, layer, place], strengths[image, layer, place]
            what = f"channel {channel} of {count:,}, mean absolute activation {strength:.3g}"
            if channel < 0:
                what = "this layer has fewer channels"
            said[image, layer, place + 1] = f"{what}; {size}"
    return said
