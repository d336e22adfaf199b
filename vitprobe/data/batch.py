"""What the loader yields, and how images and labels are recognised in what data sets give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from vitprobe.data.model_input import ModelInput
from vitprobe.errors import InputError

IMAGE_KEYS = ("image", "images", "pixel_values", "img", "jpg", "jpeg", "png", "webp")
LABEL_KEYS = ("label", "labels", "fine_label", "cls")

Wanted = Callable[[int], bool]  # number of a batch, over all passes -> whether it is to be read


@dataclass
class Batch:
    """index: int64 (b,), positions in the data; images: float (b, C, H, W), one per transform
    (equal transforms share one tensor), or ModelInputs of b examples; labels: int64 (b,), or None
    where any is unknown."""

    index: torch.Tensor
    images: tuple[torch.Tensor | ModelInput, ...]
    labels: torch.Tensor | None


def default_batch_size(examples: int) -> int:
    """At least eight batches where there are enough examples, of 32 to 256."""
    return min(256, max(32, examples // 8))


def class_count(data) -> int | None:
    """What a data set says of its classes: `num_classes`, or the length of `classes`."""
    return getattr(data, "num_classes", None) or len(getattr(data, "classes", ())) or None


def image_and_label(item) -> tuple:
    """Image(s) and label(s) (None: there are none) of what a data set or DataLoader gave.

    A tuple or list starts with them; a mapping has them under the first of IMAGE_KEYS and of
    LABEL_KEYS that it has; anything else is the image.
    """
    if isinstance(item, Mapping):
        image = next((item[key] for key in IMAGE_KEYS if key in item), None)
        if image is None:
            raise InputError(
                f"no images among the keys {', '.join(map(str, item))}: expected one of "
                f"{', '.join(IMAGE_KEYS)}"
            )
        return image, next((item[key] for key in LABEL_KEYS if key in item), None)
    if isinstance(item, (tuple, list)):
        if not item:
            raise InputError("the data gave an empty tuple: expected (image, label)")
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def check_images(x, what: str, dims: str = "(N, C, H, W)") -> None:
    """Raises InputError unless `x` is a floating-point tensor with those dims."""
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{what} gave {type(x).__name__} for images: expected a tensor {dims}")
    if not x.is_floating_point():
        raise InputError(
            f"{what} gave images of {x.dtype}, and tensors are taken as they are: "
            "convert them first, for instance x.float() / 255, and normalise"
        )
    if x.ndim != dims.count(",") + 1:
        raise InputError(f"{what} gave images of shape {tuple(x.shape)}: expected {dims}")
