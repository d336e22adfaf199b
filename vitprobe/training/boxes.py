"""Random rectangles, one for each image of a batch: as torchvision draws them, many at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

TRIES = 10  # torchvision's: the first rectangle that fits is taken
# torchvision's RandomErasing: shares of the area, aspect ratios (height / width), and less than
# the whole side; RandomResizedCrop has width / height, which its symmetrical range makes the same
ERASED = {"area": (0.02, 0.33), "ratio": (0.3, 3.3), "whole": False}
CUT = {"ratio": (3 / 4, 4 / 3), "whole": True}


@dataclass
class Boxes:
    """top, left, height, width: float (b,), whole pixels; chosen: bool (b,), False: no box fits."""

    top: torch.Tensor
    left: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    chosen: torch.Tensor


def random_boxes(
    numbers: torch.Tensor,
    height: int,
    width: int,
    *,
    area: tuple[float, float],
    ratio: tuple[float, float],
    whole: bool,
) -> Boxes:
    """Boxes in images of height x width from uniform numbers (b, 2 * TRIES + 2).

    area: share of the image's, uniform; ratio: height / width, uniform in its logarithm; whole:
    whether a box may be as long as a side.
    """
    areas, ratios, place = numbers.split([TRIES, TRIES, 2], dim=1)
    areas = (area[0] + (area[1] - area[0]) * areas) * (height * width)
    low, high = (math.log(value) for value in ratio)
    ratios = (low + (high - low) * ratios).exp_()
    heights, widths = (areas * ratios).sqrt_().round_(), (areas / ratios).sqrt_().round_()
    most_h, most_w = (height, width) if whole else (height - 1, width - 1)
    fits = (heights <= most_h) & (widths <= most_w) & (heights > 0) & (widths > 0)
    first = fits.byte().argmax(1, keepdim=True)
    h, w, chosen = (x.gather(1, first)[:, 0] for x in (heights, widths, fits))
    room = torch.stack([height - h, width - w], 1).clamp_(min=0)
    top, left = (place * (room + 1)).floor_().unbind(1)
    return Boxes(top, left, h, w, chosen)


def erase(x: torch.Tensor, boxes: Boxes) -> torch.Tensor:
    """Writes 0 into each image's box, in place. x: float (b, C, H, W)."""
    rows = torch.arange(x.shape[2], device=x.device)
    columns = torch.arange(x.shape[3], device=x.device)
    in_rows = _within(rows, boxes.top, boxes.height) & boxes.chosen[:, None]
    in_columns = _within(columns, boxes.left, boxes.width)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return x.mul_(inside.logical_not().to(x.dtype))  # masked_fill_ takes ten times as long


def _within(places: torch.Tensor, start: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    return (places >= start[:, None]) & (places < (start + length)[:, None])
