"""What the models see of one example, and how examples become a batch."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch

from vitprobe.data.batch import Batch, check_images, image_and_label
from vitprobe.data.decode import CorruptImage, EncodedImage
from vitprobe.data.transforms import Transform
from vitprobe.errors import InputError, option


class Views:
    """Transforms of one image for each model; models that want the same share it.

    An example's view is (index, one tensor (C, H, W) for each distinct transform, label, whether
    they were transformed), or the InputError. Errors travel as values: raised in a worker process,
    they would come back with its traceback for a message.

    Attributes: transformed (whether any image so far was none of a float tensor, which is taken as
    it is).
    """

    def __init__(self, name: str, transforms: Sequence[Transform]):
        self.name, self._distinct = name, list(dict.fromkeys(transforms))
        self._slots = [self._distinct.index(transform) for transform in transforms]
        self.transformed = False

    def of(self, index: int, item) -> tuple | InputError:
        """The view of what a data set gave as its example `index`."""
        try:
            image, label = image_and_label(item)
            if isinstance(image, EncodedImage):
                image = image.decode()
            if isinstance(image, torch.Tensor):
                check_images(image, self.name, "(C, H, W)")
                return index, (image,), _label(label), False
            return index, tuple(t(image) for t in self._distinct), _label(label), True
        except InputError as error:
            return error
        except OSError as error:  # Pillow's, of an image that is decoded only now
            return CorruptImage(f"number {index} of {self.name}", error)

    def batch(self, collated: tuple, skipped: list[str], skip_bad_images: bool) -> Batch | None:
        """The batch of what `collate` gave, or None where all its images were skipped.

        Paths of bad images go to `skipped`; raises their CorruptImage unless they are skipped,
        and any other error.
        """
        index, images, labels, transformed, errors = collated
        self.transformed |= transformed
        for error in errors:
            if not (skip_bad_images and isinstance(error, CorruptImage)):
                raise error
            if error.path not in skipped:
                skipped.append(error.path)
        if not len(index):
            return None
        # one view for all: float tensors, which no transform touches
        slots = self._slots if len(images) > 1 else [0] * len(self._slots)
        return Batch(index, tuple(images[slot] for slot in slots), labels)


def collate(items: list) -> tuple:
    """Views -> (index (b,), a tensor (b, C, H, W) for each distinct transform, labels, whether any
    was transformed, errors)."""
    errors = [item for item in items if isinstance(item, InputError)]
    good = [item for item in items if not isinstance(item, InputError)]
    columns = list(zip(*(views for _, views, _, _ in good), strict=True)) if good else []
    sizes = next((s for s in ({x.shape for x in c} for c in columns) if len(s) > 1), None)
    if sizes:
        few = ", ".join("x".join(map(str, size)) for size in sorted(sizes)[:3])
        errors.append(
            InputError(f"the images differ in size ({few}): give {option('image_size', 'N')}")
        )
        return torch.empty(0, dtype=torch.int64), (), None, False, errors
    labels = [label for _, _, label, _ in good]
    known = bool(labels) and None not in labels
    return (
        torch.tensor([index for index, *_ in good], dtype=torch.int64),
        tuple(_stack(column) for column in columns),
        torch.tensor(labels, dtype=torch.int64) if known else None,
        any(transformed for *_, transformed in good),
        errors,
    )


def _stack(column: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """torch.stack, for the usual case on one thread (see Transform): a copy needs no more."""
    if column[0].dtype != torch.float32 or column[0].is_cuda:
        return torch.stack(column)
    return torch.from_numpy(np.stack([x.detach().numpy() for x in column]))


def _label(label) -> int | None:
    """A class index, or None for anything else (unknown, a float, one-hot)."""
    if isinstance(label, torch.Tensor) and label.ndim == 0 and not label.is_floating_point():
        label = label.item()
    return int(label) if isinstance(label, Integral) and label >= 0 else None
