"""Mixup and CutMix: each image of a batch mixed with the one before it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from vitprobe.training.augment_options import AugmentOptions


@dataclass(frozen=True)
class MixDraw:
    """One batch's chance: share: of the image itself, in [0, 1]; centre: (y, x) in [0, 1) of the
    rectangle that CutMix pastes, None for mixup."""

    share: float
    centre: tuple[float, float] | None


class Mix:
    """Images and labels of a batch, each mixed with its predecessor (the first with the last).

    options: the alphas of mixup and cutmix; where both are on, each batch has one or the other,
    with equal chance. Values equal torchvision's MixUp and CutMix. classes: number of classes.
    Sources: Zhang et al. 2018, arXiv 1710.09412; Yun et al. 2019, arXiv 1905.04899.
    """

    def __init__(self, options: AugmentOptions, classes: int):
        self.options, self.classes = options, classes

    def draw(self, generator: torch.Generator) -> MixDraw:
        """The share ~ Beta(alpha, alpha), and the place, for one whole batch."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        random = np.random.default_rng(seed)  # torch's Beta takes no generator
        mixup, cutmix = self.options.mixup, self.options.cutmix
        cuts = bool(cutmix) and (not mixup or random.random() < 0.5)
        share = float(random.beta(*[cutmix if cuts else mixup] * 2))
        return MixDraw(share, tuple(random.random(2).tolist()) if cuts else None)

    @staticmethod
    def partner_rows(start: int, stop: int, n: int) -> torch.Tensor:
        """Rows start - 1 to stop - 1 of a batch of n (before row 0 comes the last): int64.

        What a process that takes rows start to stop - 1 needs, for `__call__`.
        """
        return torch.arange(start - 1, stop) % n

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, draw: MixDraw
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float (1 + b, 3, H, W), int64 (1 + b,), the first being the partner of the second ->
        mixed images (b, 3, H, W), targets float32 (b, classes) whose rows sum to 1."""
        before, own = images[:-1], images[1:]
        share = draw.share
        if draw.centre is None:
            mixed = torch.mul(before, 1 - share).add_(own * share)
        else:
            top, bottom, left, right = _rectangle(share, draw.centre, *images.shape[2:])
            mixed = own.clone()
            mixed[..., top:bottom, left:right] = before[..., top:bottom, left:right]
            share = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
        targets = F.one_hot(labels, self.classes).float()
        return mixed, targets[:-1].mul(1 - share).add_(targets[1:] * share)


def _rectangle(share: float, centre: tuple[float, float], height: int, width: int):
    """top, bottom, left, right of 1 - share of the area, cut off at the image's edges."""
    half = 0.5 * math.sqrt(1 - share)
    bounds = []
    for place, side in zip(centre, (height, width), strict=True):
        middle, reach = int(place * side), int(half * side)
        bounds += [max(middle - reach, 0), min(middle + reach, side)]
    return bounds
