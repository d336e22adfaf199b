"""Maps of gradients summed over images, and how their mass lies around a point, with errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER
from vitprobe.ops.wide import wide

SHARES = (0.5, 0.9)
AREA = 0.01  # of the peak
_ROUNDING = 1e-12  # of a mass that is meant to be as large as a share


class Rings(NamedTuple):
    """Pixels by their distance from a point: `order` sorts them, each ring ends before `ends`, and
    lies at `radii` (pixels, ascending)."""

    order: np.ndarray  # (H W,) int64
    ends: np.ndarray  # (D,) int64
    radii: np.ndarray  # (D,) float64


@lru_cache(maxsize=64)
def rings(point: tuple[float, float], height: int, width: int) -> Rings:
    """point: row and column, between pixels too."""
    rows, columns = np.arange(height) - point[0], np.arange(width) - point[1]
    squares = np.round(rows[:, None] ** 2 + columns**2, 9).ravel()
    order = np.argsort(squares, kind="stable")
    distinct, counts = np.unique(squares, return_counts=True)
    return Rings(order, counts.cumsum(), np.sqrt(distinct))


class FieldResult(NamedTuple):
    """Of each layer, float64; NaN where it has no mass. Errors are NaN of one image, too."""

    map: np.ndarray  # (L, H, W), sum 1
    centre: np.ndarray  # (L,), mean of the pixels nearest to the point
    radii: np.ndarray  # (L, shares), pixels
    area: np.ndarray  # (L,), pixels above 1 % of the peak
    centre_se: np.ndarray
    radii_se: np.ndarray


class FieldSums(Metric):
    """Maps (H, W) >= 0 of several layers, summed over images, and how much lies within each
    distance of each layer's point.

    The map of all images is a ratio of sums: of the images' maps, to their mass. Standard errors
    are those of ratios (delta method) over images. A radius is a quantile of the mass; its error is
    half of the interval between the radii at which the mass, one standard error more or less, would
    reach the share (Woodruff 1952).

    Args:
        points: of each layer, row and column in pixels.
        height, width: pixels.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, points: Sequence[tuple[float, float]], height: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.points = [tuple(point) for point in points]
        self.size = (height, width)
        of_layers = [rings(point, height, width) for point in self.points]
        count, most = len(self.points), max((len(each.ends) for each in of_layers), default=1)
        zeros = torch.zeros(count, height, width, dtype=torch.float64)
        self.add_state("sums", zeros, "sum")
        # over images, of the mass a within each radius and of all mass s: a a, a s; s s
        self.add_state("products", torch.zeros(2, count, most, dtype=torch.float64), "sum")
        self.add_state("squares", torch.zeros(count, dtype=torch.float64), "sum")
        self.add_state("images", torch.zeros(count, dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((count,), NEVER), "min")

    def update(self, layer: int, maps: Tensor, batch: int) -> None:
        """Add (n, H, W) of one layer. batch: its number, for the reasons of blanks."""
        maps = wide(maps).to(self.device)
        order, ends, _ = rings(self.points[layer], *self.size)
        flat = maps.flatten(1)[:, torch.from_numpy(order).to(maps.device)]
        within = flat.cumsum(1)[:, torch.from_numpy(ends - 1).to(maps.device)]
        mass = within[:, -1:]
        self.sums[layer] += maps.sum(0)
        self.products[0, layer, : len(ends)] += within.square().sum(0)
        self.products[1, layer, : len(ends)] += (within * mass).sum(0)
        self.squares[layer] += mass.square().sum()
        self.images[layer] += len(maps)
        bad = ~mass.isfinite().all()
        now = self.first_bad[layer].clamp(max=batch)
        self.first_bad[layer] = torch.where(bad, now, self.first_bad[layer])

    def compute(self) -> FieldResult:
        """What all images so far give."""
        count = len(self.points)
        maps = np.full((count, *self.size), np.nan)
        centre, area, centre_se = np.full((3, count), np.nan)
        radii, radii_se = np.full((2, count, len(SHARES)), np.nan)
        for layer, point in enumerate(self.points):
            whole = self.sums[layer].cpu().numpy()
            total = whole.sum()
            if not (np.isfinite(total) and total > 0):
                continue
            maps[layer] = whole / total
            area[layer] = (whole > AREA * whole.max()).sum()
            here = rings(point, *self.size)
            found, errors = self._of_rings(layer, maps[layer])
            centre[layer], centre_se[layer] = found[0] / here.ends[0], errors[0] / here.ends[0]
            for k, share in enumerate(SHARES):
                radii[layer, k] = _reached(found, here.radii, share)
                low, high = (_reached(found + sign * errors, here.radii, share) for sign in (1, -1))
                radii_se[layer, k] = (high - low) / 2
        return FieldResult(maps, centre, radii, area, centre_se, radii_se)

    def _of_rings(self, layer: int, map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D,) each: the share of the mass within each radius, and its standard error."""
        order, ends, _ = rings(self.points[layer], *self.size)
        shares = map.ravel()[order].cumsum()[ends - 1]
        n, total = int(self.images[layer]), float(self.sums[layer].sum())
        aa, a_s = self.products[:, layer, : len(ends)].cpu().numpy()
        ss = float(self.squares[layer])
        if n < 2:
            return shares, np.full(len(ends), np.nan)
        squares = (aa - 2 * shares * a_s + shares**2 * ss).clip(min=0)
        return shares, np.sqrt(n / (n - 1) * squares) / total

    def blanks(self) -> list[str]:
        """Why a layer has no values, or ""."""
        found = []
        masses = self.sums.flatten(1).sum(1).tolist()
        for first, images, mass in zip(
            self.first_bad.tolist(), self.images.tolist(), masses, strict=True
        ):
            if first != NEVER:
                found.append(f"non-finite gradients (first in batch {first})")
            elif not images:
                found.append("no images")
            else:
                found.append("" if mass else ZERO)
        return found


ZERO = (
    "zero gradient at every pixel of every image: all units there are off (dead), or nothing there "
    "depends on the image"
)


def _reached(shares: np.ndarray, radii: np.ndarray, share: float) -> float:
    """The smallest radius within which there is at least this share; NaN where it is not known."""
    if np.isnan(shares).any():
        return np.nan
    hit = np.flatnonzero(shares >= share - _ROUNDING)
    return radii[hit[0]] if len(hit) else radii[-1]
