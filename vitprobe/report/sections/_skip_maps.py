"""Of every token, how strong the skip is beside the branch."""

from __future__ import annotations

import numpy as np
import xarray as xr

from vitprobe.figures.skips_panels import colours_of
from vitprobe.report.kinds import Dim, Stack
from vitprobe.report.provenance import heading


def skip_maps(result: xr.Dataset) -> list[Stack]:
    """Ratio and cosine of skip and branch at each place, layer by layer; none where no layer has a
    map."""
    colours = colours_of(result)
    if colours is None or "ratio_map" not in result:
        return []
    there = [k for k, why in enumerate(result["no_map"].values) if not str(why)]
    there = [k for k in there if result["rows"].values[k] > 0]
    if not there:
        return []
    layers = result.isel(layer=there).transpose("layer", "row", "col", ...)
    names = [str(name) for name in layers["layer"].values]
    dims = [Dim("layer", names, slider=True, start=len(names) // 2)]
    used = np.stack([layers["rows"].values, layers["columns"].values], -1)
    limits = float(colours.vmin), float(colours.vmax)
    ratio = Stack(
        f"Skips of {heading(result)}, place by place",
        dims,
        layers["ratio_map"].values,
        used=used,
        unit="|skip| / |branch|",
        limits=limits,
        scale="log",
        centred=True,
        said=_special(layers, "ratio"),
        caption="Mean over images of |skip| / |branch|: red where the skip is stronger, blue where "
        "the branch is.",
    )
    cosine = Stack(
        f"Directions of skip and branch of {heading(result)}, place by place",
        dims,
        layers["cosine_map"].values,
        used=used,
        unit="cosine",
        limits=(-1.0, 1.0),
        centred=True,
        said=_special(layers, "cosine"),
        caption="Mean over images of the cosine of skip and branch.",
    )
    return [ratio, cosine]


def _special(layers: xr.Dataset, quantity: str) -> np.ndarray:
    """The numbers of class and register tokens, which have no place."""
    if f"{quantity}_special" not in layers:
        return np.full(layers.sizes["layer"], "", object)
    values = layers[f"{quantity}_special"].transpose("layer", "special").values
    classes = layers["tokens"].sel(group="cls").values
    said = []
    for row, count in zip(values, classes, strict=True):
        words = ["class token" if k < count else f"register {k - count}" for k in range(len(row))]
        pairs = zip(words, row, strict=True)
        said.append("; ".join(f"{word}: {value:.3g}" for word, value in pairs if value == value))
    return np.array(said, object)
