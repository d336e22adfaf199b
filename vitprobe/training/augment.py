"""Batches of images changed at random, each in its own way, on the device where they lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.boxes import ERASED, TRIES, erase, random_boxes
from vitprobe.training.colour import jitter
from vitprobe.training.geometry import Geometry
from vitprobe.training.memory import sent
from vitprobe.training.rand_augment import rand_augment


class Augment:
    """uint8 images -> normalised float32 images, augmented.

    options: what is done, in this order: RandAugment; brightness, contrast and saturation; crop,
        mirror image, rotation, scale and translation as one map (what comes from outside the
        image is black); normalising; erasing (to 0, the mean). Mixing is `Mix`'s.
    mean, std: three floats each, pixels in [0, 1]. Without options the values are Transform's.

    `draw` takes all that is random from a CPU generator, for a whole batch at once; processes that
    share a batch each take their images' rows of it, and get the same values as one process would.
    """

    def __init__(self, options: AugmentOptions, mean: Sequence[float], std: Sequence[float]):
        self.options = options
        mean, std = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
        self._scale, self._shift = 1 / (255 * std), -mean / std
        self._geometry = Geometry(options)
        operations = options.rand_augment[0] if options.rand_augment else 0
        widths = {
            "geometry": self._geometry.width,
            "jitter": 3 if options.jitter else 0,
            "erase": 1 + TRIES * 2 + 2 if options.erase else 0,
            "rand_augment": 2 * operations,
        }
        self._columns, self._width = {}, 0
        for name, width in widths.items():
            self._columns[name] = slice(self._width, self._width + width)
            self._width += width

    def draw(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Random numbers for n images, float32 (n, ...) in [0, 1): one row for each image."""
        return torch.rand(n, self._width, generator=generator)

    def __call__(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """uint8 (b, 3, H, W) and their rows of `draw` -> float32 (b, 3, H, W), same device."""
        options, columns = self.options, self._columns
        if options.rand_augment:  # grouped by operation in main memory
            magnitude = options.rand_augment[1]
            images = rand_augment(images, draws[:, columns["rand_augment"]], magnitude)
        device = images.device
        draws = sent(draws, device)
        if self._scale.device != device:
            self._scale, self._shift = self._scale.to(device), self._shift.to(device)
        x = images
        if options.jitter:
            factors = 1 + options.jitter * (2 * draws[:, columns["jitter"]] - 1)
            x = jitter(x.float(), *factors.unbind(1))
        x = self._geometry(x, draws[:, columns["geometry"]])
        x = (x * self._scale).add_(self._shift)
        if options.erase:
            chance, numbers = draws[:, columns["erase"]].split([1, TRIES * 2 + 2], dim=1)
            boxes = random_boxes(numbers, *x.shape[2:], **ERASED)
            boxes.chosen &= chance[:, 0] < options.erase
            x = erase(x, boxes)
        return x
