"""Single images, chosen by number: what the model is given, and what a person is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vitprobe.data import CorruptImage, ImageData, Transform
from vitprobe.data.batch import check_images, image_and_label
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import opened
from vitprobe.passes.provenance import as_attribute, model_facts
from vitprobe.passes.subjects import ModelLike, Subject, make_subject, named_models
from vitprobe.text import printable


@dataclass(frozen=True)
class Chosen:
    """Images of some data, each ready for one model when it is iterated over.

    Iterating gives pairs: (1, C, H, W) float for the model, and (H, W, 1 or 3) uint8 to be shown:
    the same image, cut and resized as the model sees it, normalisation undone.
    """

    data: Dataset | Tensor
    numbers: list[int]
    transform: Transform

    @property
    def name(self) -> str:
        """The data's name."""
        if isinstance(self.data, Tensor):
            return "tensor " + "x".join(map(str, self.data.shape))
        return getattr(self.data, "name", None) or type(self.data).__name__

    @property
    def labels(self) -> list[str]:
        """One word for each image: a file's name, as far as it is needed, or the number."""
        paths = getattr(self.data, "paths", None)
        if paths is None:
            return [str(number) for number in self.numbers]
        paths = [Path(paths[number]) for number in self.numbers]
        for label in (lambda path: path.stem, lambda path: path.name):
            labels = [label(path) for path in paths]
            if len(set(labels)) == len(labels):
                return list(map(printable, labels))
        return [printable(path.as_posix(), longest=None) for path in paths]

    def __iter__(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        size = None
        for number, label in zip(self.numbers, self.labels, strict=True):
            x, shown = self._read(number)
            size = size or x.shape
            if x.shape != size:
                raise InputError(
                    f"image {label} is {_text(x.shape)}, the first one {_text(size)}: "
                    "give an image size that all are brought to"
                )
            yield x[None], shown

    def _read(self, number: int) -> tuple[Tensor, np.ndarray]:
        try:
            item = self.data[number]
        except CorruptImage as error:
            why = f" ({error.reason})" if error.reason else ""
            path = printable(error.path)
            raise InputError(f"unreadable image {path}{why}: repair or remove it") from error
        image = item if isinstance(self.data, Tensor) else image_and_label(item)[0]
        if isinstance(image, Tensor):
            check_images(image, "the data", "(C, H, W)")
            return image, _stretched(image)
        x = self.transform(image)
        return x, _undone(x, self.transform)


def prepare_pictures(
    model: ModelLike, data, index: int | Sequence[int] | None, inputs: InputOptions
) -> tuple[Subject, Chosen]:
    """One model and the images that it is shown one by one, made ready; see `choose`.

    Raises:
        InputError: a model, data or an image that cannot be had, or several models.
    """
    data = opened(data, inputs)
    named = named_models([model])
    if len(named) > 1:
        raise InputError(f"one model is looked at, not {len(named)}: call it for each")
    subject = make_subject(named[0], data, inputs)
    return subject, choose(data, index, subject.transform)


def picture_facts(
    analysis: str, subject: Subject, chosen: Chosen, inputs: InputOptions, **asked: Any
) -> dict[str, Any]:
    """What decides the numbers, as attributes of the result: model, images, what is asked."""
    return {
        "analysis": analysis,
        **model_facts("model", subject),
        "dataset": as_attribute(chosen.name),
        "split": chosen.data.split if isinstance(chosen.data, ImageData) else "",
        "images": as_attribute(chosen.labels),
        "ignore_orientation": int(inputs.ignore_orientation),
        "seed": inputs.seed,
        "dtype": inputs.precision,
        **asked,
    }


def choose(
    data: Dataset | Tensor, index: int | Sequence[int] | None, transform: Transform
) -> Chosen:
    """Images `index` of the data, as it is stored; None: all.

    Raises:
        InputError: data that cannot be read by number, or a number that it does not have.
    """
    if isinstance(data, Tensor):
        check_images(data, "the tensor")
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise InputError(
            f"{type(data).__name__} cannot be read by index: give a data set or a tensor of images"
        )
    count = len(data)
    numbers = range(count) if index is None else [index] if isinstance(index, Integral) else index
    for number in numbers:
        if not 0 <= number < count:
            raise InputError(f"no image {number}: there are {count}, from 0 to {count - 1}")
    if not len(numbers):
        raise InputError("no image was chosen")
    return Chosen(data, [int(number) for number in numbers], transform)


def _undone(x: Tensor, transform: Transform) -> np.ndarray:
    std = torch.tensor(transform.std or (1.0,) * 3)[:, None, None]
    mean = torch.tensor(transform.mean or (0.0,) * 3)[:, None, None]
    return _levels(x * std + mean)


def _stretched(x: Tensor) -> np.ndarray:
    """A tensor whose normalisation nobody knows: its smallest value is black, its largest white."""
    x = x.float().cpu()
    if len(x) not in (1, 3):
        x = x.mean(0, keepdim=True)
    low, high = x.min(), x.max()
    return _levels((x - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny))


def _levels(x: Tensor) -> np.ndarray:
    return (x.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
