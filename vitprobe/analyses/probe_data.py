"""Training and test images of probes, opened and joined, so that one pass shows both."""

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from vitprobe.data import ImageData, ImageStream, load_data
from vitprobe.data.joined import JoinedExamples, JoinedImages
from vitprobe.errors import InputError, option
from vitprobe.input_options import InputOptions, data_options
from vitprobe.passes.inputs import DataLike, opened
from vitprobe.training.classes import with_classes_of
from vitprobe.training.parts import HELD_OUT, same_images
from vitprobe.training.split import split_rows


def probe_data(data: DataLike, train: DataLike | None, options: InputOptions) -> DataLike:
    """What `prepare` takes for probes: training images, then test images, none in both.

    data: of a name the part `options.split` is tested on, and without `train` its part `train` is
    trained on; where it has no parts, a fifth of every class is kept for the test, the same for
    every seed. Other data without `train` are taken as they are: the reader divides them.

    Raises:
        InputError: data that cannot be had or joined, that have no labels, or whose training and
            test images are the same.
    """
    given = train is not None
    if not given and not isinstance(data, str):
        return data
    train = train if given else data
    test, train = _opened(data, options, options.split), _opened(train, options, "train")
    if not (isinstance(train, ImageData) and isinstance(test, ImageData)):
        if train is test:
            raise _the_same(str(getattr(test, "name", type(test).__name__)))
        return JoinedExamples(train, test)
    for side in (train, test):
        if not (side.labels >= 0).any():
            raise InputError(f"{side.name} has no labels: probes need the class of every image")
    test, unlike = with_classes_of(train, test)
    rows: list = [np.flatnonzero(side.labels >= 0) for side in (train, test)]
    notes = [unlike] if unlike else []
    for side, labelled in zip((train, test), rows, strict=True):
        if len(labelled) < len(side):
            notes.append(f"{side.name}: {len(side) - len(labelled)} images without a class are "
                         "left out")  # fmt: skip
    if same_images(train, test) or (test.name, test.split) == (train.name, train.split):
        if given or options.split == "train":
            raise _the_same(train.name)
        kept, tested = split_rows(train.labels[rows[0]], validation=HELD_OUT, fraction=1.0, seed=0)
        rows = [rows[0][kept.numpy()], rows[0][tested.numpy()]]
        notes.append(
            f"{train.name} has no test part: {len(tested)} of its images are kept for the test "
            f"({option('train')} names other training images)"
        )
    return JoinedImages(train, test, *rows, notes)


def _the_same(name: str) -> InputError:
    return InputError(
        f"{name} would be trained on and tested on the same images: name other training images "
        f"({option('train')}), or test on another part ({option('split', 'test')})"
    )


def _opened(data: DataLike, options: InputOptions, split: str):
    """The data set; one that examples can be asked of by number."""
    if isinstance(data, str):
        data = load_data(data, **{**data_options(options), "split": split})
    else:
        data = opened(data, InputOptions())
    if isinstance(data, DataLoader):
        raise InputError(
            f"{option('train')} goes with data sets: give the DataLoader's dataset, or the "
            "DataLoader of all examples alone"
        )
    if isinstance(data, torch.Tensor):
        raise InputError(
            "a tensor has no labels: give torch.utils.data.TensorDataset(images, labels)"
        )
    stream = isinstance(data, ImageStream | IterableDataset) or not hasattr(data, "__getitem__")
    if stream:
        name = getattr(data, "name", None) or type(data).__name__
        raise InputError(
            f"{name} is read as a stream, and probes need training and test images by number: use "
            "tar files on a disk, uncompressed, or a folder"
        )
    return data
