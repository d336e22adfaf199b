"""What every analysis starts from: models and data, as a user names them, made ready."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from vitprobe.data import ImageData, PairedLoader, load_data
from vitprobe.data.arrays import from_array
from vitprobe.data.joined import JoinedImages
from vitprobe.data.model_input import ModelInput
from vitprobe.data.rows import Rows
from vitprobe.errors import InputError, option
from vitprobe.input_options import InputOptions, data_options
from vitprobe.models import choose_device
from vitprobe.passes.processes import own_device
from vitprobe.passes.subjects import (
    ModelLike,
    Subject,
    is_as_given,
    make_subject,
    moved,
    named_models,
)
from vitprobe.taps import Survey, survey
from vitprobe.taps.given import takes_of

DataLike = str | Dataset | DataLoader | Tensor | np.ndarray | Iterable | Rows


@dataclass(frozen=True)
class Inputs:
    """Models and the images they share, on one device.

    subjects: one per distinct model, in the order given.
    places: for each model given, which subject it is.
    loader: yields each image once, transformed for each subject.
    split: of a named data set, else "".
    options: as they were given.
    """

    subjects: tuple[Subject, ...]
    places: tuple[int, ...]
    loader: PairedLoader
    split: str
    device: torch.device
    options: InputOptions

    @contextmanager
    def on_device(self):
        """The models moved to the device inside, back where they were outside."""
        with ExitStack() as stack:
            for subject in self.subjects:
                stack.enter_context(moved(subject.model, self.device))
            yield

    @property
    def autocast(self) -> torch.autocast:
        """What a forward pass runs in: the type that was asked for."""
        return autocast(self.device, self.options)


def autocast(device: torch.device, options: InputOptions) -> torch.autocast:
    """The context of a forward pass of this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")


def prepare(
    models: Sequence[ModelLike],
    data: DataLike,
    options: InputOptions | None = None,
    *,
    passes: int = 1,
) -> Inputs:
    """Load models and data and fit each to the other.

    Args:
        models: model specs (with labels: `early=vit@early.pt`), modules, or dicts label -> either;
            naming one twice, or giving it once more in a wrapper, gives one subject.
        data: a data set's name, a Dataset, a DataLoader (of whose batches each model gets what its
            forward takes), a float tensor (N, C, H, W), or what else PairedLoader takes.
        options: None: all as by default.
        passes: times through the examples.

    Raises:
        InputError: a model, data set, size or device that cannot be had, or an option that does
            not apply to these data.
    """
    options = options or InputOptions()
    named = named_models(models)
    labels = [one.label for one in named]
    distinct = list(dict.fromkeys(labels))
    subjects_of = [named[labels.index(label)] for label in distinct]
    # of torchrun's processes each has a GPU of its own
    device = own_device(choose_device(options.device, [one.model for one in subjects_of]))
    data = opened(data, options)
    if passes > 1 and _same_in_every_pass(data, options.order):
        raise InputError(
            f"passes={passes} would repeat the very same batches: use the seeded order of a data "
            "set, a DataLoader that shuffles, or one pass"
        )
    subjects = tuple(make_subject(one, data, options) for one in subjects_of)
    loader = PairedLoader(
        data,
        [subject.transform for subject in subjects],
        batch_size=options.batch_size,
        examples=options.examples,
        passes=passes,
        order=options.order,
        seed=options.seed,
        workers=options.workers,
        skip_bad_images=options.skip_bad_images,
        takes=[takes_of(subject.model) for subject in subjects],
        labels=[subject.label for subject in subjects],
    )
    return Inputs(
        subjects,
        tuple(distinct.index(label) for label in labels),
        loader,
        data.split if isinstance(data, ImageData) else "",
        device,
        options,
    )


def opened(data: DataLike, options: InputOptions) -> DataLike:
    """The data set of a name, or images of an array; other data as they are.

    Raises:
        InputError: data that cannot be had; an option that would have no effect on these.
    """
    if isinstance(data, str):
        return load_data(data, **data_options(options))
    if isinstance(data, JoinedImages):  # opened with these options
        return data
    idle = options.changed(*data_options(options))
    if is_as_given(data):
        idle += options.changed("mean", "std")
    if idle:
        raise InputError(
            f"{option(idle[0])} has no effect on a {type(data).__name__}: it is for "
            + (
                "images that are no tensors yet"
                if idle[0] in ("mean", "std")
                else "named data sets"
            )
        )
    return from_array(data) if isinstance(data, np.ndarray) else data


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
    return InputError(
        f"{label} fails on images of {size} ({why}); is {option('image_size')} right?"
    )


def _same_in_every_pass(data, order: str) -> bool:
    if isinstance(data, DataLoader):
        return isinstance(data.sampler, SequentialSampler)
    return isinstance(data, Tensor) or order == "file"
