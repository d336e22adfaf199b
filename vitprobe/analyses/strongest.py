"""Of a layer's maps what is kept: the mean over channels, and the channels that respond most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitprobe.ops.wide import wide
from vitprobe.taps.map_view import MapView

STRENGTH = "mean over positions of the absolute activation"
NONE = -1  # no channel: a layer has fewer


@dataclass(frozen=True)
class Strongest:
    """Of one layer and n images; nothing of it shares memory with the activation.

    mean: (n, rows, columns) float64. channels, strength: (n, k), strongest first. maps: (n, k,
    rows, columns), the numbers as they were.
    """

    mean: np.ndarray
    channels: np.ndarray
    strength: np.ndarray
    maps: np.ndarray

    @classmethod
    def of(cls, maps: Tensor, top: int) -> "Strongest":
        """Of maps (n, channels, rows, columns), k = min(top, channels); NaN is weakest."""
        exact = wide(maps)
        strength = exact.abs().mean((2, 3))
        order = strength.nan_to_num(nan=-1.0, posinf=torch.inf).argsort(
            dim=1, descending=True, stable=True
        )[:, :top]
        places = order.to(maps.device)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        kept = maps.gather(1, places)
        if kept.dtype in (torch.float16, torch.bfloat16):  # numpy has no bfloat16: exact in float32
            kept = kept.float()
        return cls(
            exact.mean(1).cpu().numpy(),
            order.cpu().numpy(),
            strength.gather(1, order).cpu().numpy(),
            kept.cpu().numpy(),
        )


def variables(
    batches: Sequence[tuple[int, Mapping[str, Strongest]]],
    views: Mapping[str, MapView],
    top: int,
) -> tuple[dict[str, xr.Variable], list[str]]:
    """The variables of the result, and for each layer why it is blank somewhere, or "".

    batches: of each, how many images, and what was taken of which layer. views: every layer's.
    """
    images = sum(n for n, _ in batches)
    rows = max(view.rows for view in views.values())
    columns = max(view.columns for view in views.values())
    ranks = min(top, max(view.channels for view in views.values()))
    double = any(of.maps.dtype == np.float64 for _, taken in batches for of in taken.values())
    sizes = (images, len(views))
    mean = np.full((*sizes, rows, columns), np.nan)
    maps = np.full((*sizes, ranks, rows, columns), np.nan, np.float64 if double else np.float32)
    channels = np.full((*sizes, ranks), NONE)
    strength = np.full((*sizes, ranks), np.nan)
    blank = [""] * len(views)
    first = 0
    for n, taken in batches:
        here = slice(first, first + n)
        for layer, (name, view) in enumerate(views.items()):
            of = taken.get(name)
            if of is None:
                blank[layer] = "did not fire for every image"
                continue
            kept = slice(of.channels.shape[1])
            mean[here, layer, : view.rows, : view.columns] = of.mean
            maps[here, layer, kept, : view.rows, : view.columns] = of.maps
            channels[here, layer, kept] = of.channels
            strength[here, layer, kept] = of.strength
            if not np.isfinite(of.mean).all():
                blank[layer] = blank[layer] or "holds values that are not finite"
        first += n
    dims = ("image", "layer", "rank")
    found = {
        "channel_mean": xr.Variable(("image", "layer", "row", "col"), mean),
        "top": xr.Variable((*dims, "row", "col"), maps),
        "top_channel": xr.Variable(dims, channels),
        "strength": xr.Variable(dims, strength),
    }
    found["channel_mean"].attrs["long_name"] = "mean over channels"
    found["top"].attrs["long_name"] = "activation"
    found["strength"].attrs["long_name"] = STRENGTH
    return found, blank
