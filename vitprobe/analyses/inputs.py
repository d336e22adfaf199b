"""What every analysis starts from: models and data, as a user names them, made ready."""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from vitprobe.data import ImageData, ImageStream, PairedLoader, Transform, load_data
from vitprobe.data.arrays import from_array
from vitprobe.data.batch import class_count
from vitprobe.data.model_input import ModelInput
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.models import (
    build_model,
    choose_device,
    device_of,
    dtype_of,
    transform_of,
    unwrapped,
)
from vitprobe.taps import Survey, survey
from vitprobe.taps.given import takes_of
from vitprobe.text import printable

ModelLike = str | nn.Module
DataLike = str | Dataset | DataLoader | Tensor | np.ndarray | Iterable


@dataclass(frozen=True)
class Subject:
    """One model to look at: its label in the result, what it wants done to an image, its origin."""

    model: nn.Module
    label: str
    transform: Transform
    provenance: dict

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in: the type of its first floating-point parameter."""
        return dtype_of(self.model)


@dataclass(frozen=True)
class Inputs:
    """Models and the images they share, on one device.

    subjects: one per distinct model, in the order given.
    places: for each model given, which subject it is.
    loader: yields each image once, transformed for each subject.
    """

    subjects: tuple[Subject, ...]
    places: tuple[int, ...]
    loader: PairedLoader
    split: str  # of a named data set, else ""
    device: torch.device
    seed: int
    order: str  # "seeded", "file", or "as given" (see PairedLoader)

    @contextmanager
    def on_device(self):
        """The models moved to the device inside, back where they were outside."""
        with ExitStack() as stack:
            for subject in self.subjects:
                stack.enter_context(moved(subject.model, self.device))
            yield


@contextmanager
def moved(model: nn.Module, device: torch.device):
    """The model on the device inside, back where it was outside."""
    home = device_of(model)
    if home is None or home == device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def prepare(
    models: Sequence[ModelLike],
    data: DataLike,
    *,
    split: str = "test",
    data_dir: str | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    batch_size: int | None = None,
    examples: int | None = None,
    passes: int = 1,
    order: str = "seeded",
    workers: int = 0,
    skip_bad_images: bool = False,
    max_pixels: int | None = None,
    ignore_orientation: bool = False,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> Inputs:
    """Load models and data and fit each to the other.

    Args:
        models: model specs or modules; naming one twice, or giving it once more in a wrapper,
            gives one subject.
        data: a data set's name, a Dataset, a DataLoader (of whose batches each model gets what its
            forward takes), a float tensor (N, C, H, W), or what else PairedLoader takes.
        image_size: pixels, for every model given by name; None: the model's own, else the data's.
        mean, std: three floats that override every other normalisation.
        batch_size: None: min(256, max(32, examples // 8)).
        max_pixels, ignore_orientation: how the images of a data set's name are decoded (see
            `load_data`).
        device: "auto" or None: that of a given module, else CUDA where there is one.

    Raises:
        InputError: a model, data set, size or device that cannot be had.
    """
    for model in models:
        if not isinstance(model, (str, nn.Module)):
            raise InputError(
                f"a model is a spec such as 'vit' or a torch.nn.Module, not {type(model).__name__}"
            )
    models = [unwrapped(model) if isinstance(model, nn.Module) else model for model in models]
    places = tuple(_first_place(model, models) for model in models)
    models = [models[place] for place in dict.fromkeys(places)]
    places = tuple(sorted(set(places)).index(place) for place in places)
    device = choose_device(device, models)
    if isinstance(data, str):
        data = load_data(
            data,
            split=split,
            data_dir=data_dir,
            max_pixels=max_pixels,
            ignore_orientation=ignore_orientation,
        )
    elif isinstance(data, np.ndarray):
        data = from_array(data)
    if batch_size is not None and batch_size < 4:
        raise InputError(f"a batch of {batch_size} is too small: the estimators need at least 4")
    as_given = isinstance(data, (Tensor, DataLoader))
    if passes > 1 and _same_in_every_pass(data, order):
        raise InputError(
            f"passes={passes} would repeat the very same batches: use the seeded order of a data "
            "set, a DataLoader that shuffles, or one pass"
        )
    subjects = [make_subject(model, data, image_size, mean, std, seed) for model in models]
    if as_given:  # nothing is done to these images, and nothing is claimed to be
        subjects = [replace(subject, transform=Transform()) for subject in subjects]
    loader = PairedLoader(
        data,
        [subject.transform for subject in subjects],
        batch_size=batch_size,
        examples=examples,
        passes=passes,
        order=order,
        seed=seed,
        workers=workers,
        skip_bad_images=skip_bad_images,
        takes=[takes_of(subject.model) for subject in subjects],
    )
    split = data.split if isinstance(data, ImageData) else ""
    return Inputs(
        _relabelled(subjects),
        places,
        loader,
        split,
        device,
        seed,
        loader.order,
    )


def say(notes: list[str], text: str) -> None:
    """Warn, and keep the same sentence for the result's `notes`."""
    notes.append(printable(text, None))
    warnings.warn(text, VitprobeWarning, stacklevel=3)


def survey_named(model: nn.Module, label: str, images: Tensor | ModelInput) -> Survey:
    """`taps.survey`; a model that fails on these images is named in one line.

    Raises:
        InputError: the forward fails in whatever way, or there are fewer than 4 distinct images.
    """
    try:
        return survey(model, images)
    except InputError:
        raise
    except Exception as error:
        raise failed(label, images, error) from error


def failed(label: str, images: Tensor | ModelInput, error: Exception) -> InputError:
    """What to raise where a model's forward fails on images (n, C, H, W), or on other inputs."""
    why = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    if isinstance(images, ModelInput):
        return InputError(f"{label} fails on the inputs {images} ({why})")
    size = "x".join(str(side) for side in images.shape[1:])
    return InputError(f"{label} fails on images of {size} ({why}); is --image-size right?")


def make_subject(model: ModelLike, data, image_size, mean, std, seed: int) -> Subject:
    """One model, loaded where it is a spec, with the transform that fits it to the data.

    Raises:
        InputError: a model that cannot be had.
    """
    data_size = _image_size(data)
    if isinstance(model, str):
        label = model
        model = build_model(
            model,
            fallback_classes=class_count(data),
            image_size=image_size,
            fallback_image_size=data_size,
            seed=seed,
        )
    else:
        model = unwrapped(model)
        label = type(model).__name__
        if any(is_lazy(parameter) for parameter in model.parameters()):
            raise InputError(f"{label} has lazy parameters without values: run it once first")
    transform = transform_of(model).filled(image_size=image_size)
    if isinstance(data, (ImageData, ImageStream)):
        transform = transform.filled(image_size=data_size, mean=data.mean, std=data.std)
    transform = replace(transform, mean=mean or transform.mean, std=std or transform.std)
    provenance = getattr(model, "provenance", None)
    if not isinstance(provenance, dict):
        parameters = sum(parameter.numel() for parameter in model.parameters())
        provenance = {"spec": label, "name": label, "weights": "given", "parameters": parameters}
    return Subject(model, label, transform, provenance)


def _image_size(data) -> int | None:
    """Side of the data's images in pixels, where they have one in common."""
    if isinstance(data, Tensor):
        return data.shape[-1] if data.ndim == 4 else None
    return getattr(data.dataset if isinstance(data, DataLoader) else data, "image_size", None)


def _same_in_every_pass(data, order: str) -> bool:
    if isinstance(data, DataLoader):
        return isinstance(data.sampler, SequentialSampler)
    return isinstance(data, Tensor) or order == "file"


def _first_place(model: ModelLike, models: Sequence[ModelLike]) -> int:
    """Where this model is named first: the same module, or the same spec."""
    same = (model is other or (isinstance(model, str) and model == other) for other in models)
    return next(place for place, found in enumerate(same) if found)


def numbered(labels: Sequence[str]) -> list[str]:
    """Two modules of one class get numbers, so that no two subjects share a label."""
    return [
        f"{label} ({labels[:i].count(label) + 1})" if labels.count(label) > 1 else label
        for i, label in enumerate(labels)
    ]


def _relabelled(subjects: list[Subject]) -> tuple[Subject, ...]:
    labels = numbered([subject.label for subject in subjects])
    return tuple(map(lambda subject, label: replace(subject, label=label), subjects, labels))
