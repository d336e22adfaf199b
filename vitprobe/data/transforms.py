"""From one image to a model's input: resize, centre crop, [0, 1], normalise; no randomness."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.functional import pil_modes_mapping
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from vitprobe.errors import InputError, did_you_mean

MOST_CUT_AWAY = 64  # pixels of a resized image for one that is kept
INTERPOLATIONS = tuple(mode.value for mode in InterpolationMode)


@dataclass(frozen=True)
class Transform:
    """What a model wants done to an image.

    image_size: (height, width) in pixels; an int means a square; None keeps the image's own size.
    mean, std: a float for each channel, in units of [0, 1]; None leaves the pixels in [0, 1].
    crop_pct: part of the resized image's side that the centre crop keeps, in (0, 1].
    interpolation: `nearest`, `nearest-exact`, `bilinear`, `bicubic`, `box`, `hamming` or `lanczos`.
    channels: 3 (R, G, B), or 1: the image's grey version (Pillow's "L", which leaves grey images as
        they are), for which mean and std have one value, or three that are averaged.

    The image keeps its aspect ratio. An image larger than `image_size` on both sides is resized
    to cover image_size / crop_pct (rounded down) and its centre is cut out, as timm does when it
    evaluates; any other image is resized to cover image_size itself, so that nothing of a small
    square image is cropped away. Resizing is Pillow's (antialiased, to uint8), and is left out
    when the size is right already: the values are then exactly the image's.

    Raises InputError for a field that makes no sense.
    """

    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop_pct: float = 1.0
    interpolation: str = "bilinear"
    channels: int = 3

    def __post_init__(self):
        if self.channels not in (1, 3):
            raise InputError(
                f"a transform makes images of 1 or 3 channels, not {self.channels}; give tensors"
            )
        object.__setattr__(self, "image_size", _size(self.image_size))
        object.__setattr__(self, "mean", _channels("mean", self.mean, self.channels))
        object.__setattr__(self, "std", _channels("std", self.std, self.channels))
        if self.std is not None and min(self.std) <= 0:
            raise InputError(f"std must be positive, got {self.std}")
        if not 0 < self.crop_pct <= 1:
            raise InputError(f"crop_pct must be above 0 and at most 1, got {self.crop_pct}")
        if self.interpolation not in INTERPOLATIONS:
            near = did_you_mean(str(self.interpolation), INTERPOLATIONS)
            raise InputError(
                f"unknown interpolation {self.interpolation!r}{near or ': use bilinear or bicubic'}"
            )

    def filled(self, image_size=None, mean=None, std=None) -> Transform:
        """The same transform with the data set's values where its own fields are None."""
        return replace(
            self,
            image_size=image_size if self.image_size is None else self.image_size,
            mean=mean if self.mean is None else self.mean,
            std=std if self.std is None else self.std,
        )

    def __call__(self, image: Image.Image | np.ndarray) -> torch.Tensor:
        """PIL image or uint8 array (H, W), (H, W, 1) or (H, W, 3) -> float32 tensor (C, H, W).

        Raises InputError for an array of another dtype or shape.
        """
        pixels, table = self.pixels(image), self._table()
        x = np.empty((self.channels, *pixels.shape[:2]), dtype=np.float32)
        for c in range(self.channels):
            np.take(table[c], pixels[..., c], out=x[c], mode="clip")
        return torch.from_numpy(x)

    def pixels(self, image: Image.Image | np.ndarray) -> np.ndarray:
        """The same without normalising: resized and cut, uint8 (H, W, C); it may be read-only."""
        image = to_pil(image)
        if self.channels == 1:
            image = image.convert("L")
        pixels = np.asarray(image if self.image_size is None else self._fit(image))
        return pixels.reshape(*pixels.shape[:2], self.channels)

    def _table(self) -> np.ndarray:
        """Level 0..255 -> value, float32 (C, 256).

        One look-up for each pixel, on one thread. torch starts all its threads for an image of
        224 px; on a busy machine they wait for each other far longer than the work takes
        (measured: 32 ms an image instead of 0.4).
        """
        levels = np.arange(256, dtype=np.float32) / np.float32(255)
        mean = np.zeros(self.channels) if self.mean is None else np.array(self.mean)
        std = np.ones(self.channels) if self.std is None else np.array(self.std)
        return (levels - mean.astype(np.float32)[:, None]) / std.astype(np.float32)[:, None]

    def _fit(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        goal_h, goal_w = self.image_size
        larger = height > goal_h and width > goal_w
        pct = self.crop_pct if larger else 1.0
        size = _cover(height, width, int(goal_h / pct), int(goal_w / pct))
        if size[0] * size[1] > MOST_CUT_AWAY * goal_h * goal_w:
            return self._centre(image, size)
        if size != (height, width):
            mode = InterpolationMode(self.interpolation)
            image = F.resize(image, list(size), interpolation=mode, antialias=True)
        return image if size == self.image_size else F.center_crop(image, list(self.image_size))

    def _centre(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The same for an image so long that the whole of it, at that `size`, could fill the
        memory: only what is kept is resized. Pixels may differ by a level or two."""
        top, left = (round((a - b) / 2) for a, b in zip(size, self.image_size, strict=True))
        down, right = image.height / size[0], image.width / size[1]
        height, width = self.image_size
        box = (left * right, top * down, (left + width) * right, (top + height) * down)
        mode = pil_modes_mapping[InterpolationMode(self.interpolation)]
        return image.resize((width, height), mode, box=box)


def to_pil(image: Image.Image | np.ndarray) -> Image.Image:
    """PIL image, or uint8 array (H, W), (H, W, 1) or (H, W, 3) -> PIL image in RGB.

    Of 16-bit grey images the high byte is kept. Transparency is dropped, as torchvision's and
    timm's loaders do: a transparent pixel has the colour that is stored under it. Raises
    InputError for floating-point images and for arrays of another dtype or shape: their range is
    unknown.
    """
    if isinstance(image, np.ndarray):
        grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
        if image.dtype != np.uint8 or not (grey or (image.ndim == 3 and image.shape[2] == 3)):
            raise InputError(
                f"an image array must be uint8 of shape (H, W), (H, W, 1) or (H, W, 3), "
                f"got {image.dtype} {image.shape}"
            )
        image = Image.fromarray(image.reshape(image.shape[:2]) if grey else image)
    if not isinstance(image, Image.Image):
        raise InputError(
            f"an image must be a PIL image, a uint8 array or a float tensor, "
            f"got {type(image).__name__}"
        )
    if image.mode == "F":
        raise InputError("floating-point images have no known range: save them with 8 bits")
    if image.mode.startswith("I"):  # Pillow's own conversion turns all above 255 white
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if isinstance(image.info.get("transparency"), bytes):  # of a palette: Pillow's own detour,
        image = image.convert("RGBA")  # which it warns of where it is not taken; the same colours
    return image if image.mode == "RGB" else image.convert("RGB")


def _cover(height: int, width: int, goal_h: int, goal_w: int) -> tuple[int, int]:
    """The smallest size of the image's aspect ratio that covers the goal; one side is exact."""
    if goal_h * width >= goal_w * height:
        return goal_h, max(goal_w, width * goal_h // height)
    return max(goal_h, height * goal_w // width), goal_w


def _size(size) -> tuple[int, int] | None:
    if size is None:
        return None
    size = (size, size) if isinstance(size, int) else tuple(int(side) for side in size)
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"image_size must be one or two positive whole numbers, got {size}")
    return size


def _channels(name: str, values, channels: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    values = tuple(float(value) for value in values)
    if len(values) not in (channels, 3):
        wanted = "three values (R, G, B)" if channels == 3 else "one value, or three"
        raise InputError(f"{name} must have {wanted}, got {len(values)}")
    if not all(math.isfinite(value) for value in values):
        raise InputError(f"{name} must be finite numbers, got {values}")
    return values if len(values) == channels else (sum(values) / 3,)
