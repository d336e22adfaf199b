"""A pass of probes over made images of three classes; for processes, too."""

import warnings

import torch
from pass_work import images, vit
from torch.utils.data import TensorDataset

import vitprobe
from vitprobe.data.images import ArrayImages
from vitprobe.data.joined import JoinedImages
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, TRAINED, BATCH = 240, 180, 24
READERS = {  # some sum, some keep features, some draw
    "ridge": {},
    "each": {"tokens": "each"},
    "shots": {"shots": 3, "draws": 2},
    "knn": {"solver": "knn", "k": 5},
}


def named(count=COUNT, trained=TRAINED):
    """Of known classes, training and test images apart."""
    labels = torch.arange(count) % 3
    x = images(count) + 0.7 * labels[:, None, None, None]
    x = (x.permute(0, 2, 3, 1) * 40 + 100).clamp(0, 255).byte().numpy()
    whole = ArrayImages("made", "train", x, labels.numpy(), list("abc"))
    return JoinedImages(whole, whole, range(trained), range(trained, count))


def unnamed():
    labels = torch.arange(COUNT) % 3
    return TensorDataset(images(COUNT) + 0.7 * labels[:, None, None, None], labels)


def probes(make=named, keeper=None, told=None, readers=None):
    """The Datasets of all readers, in order; of a share none. readers: instead of new ones."""
    warnings.simplefilter("ignore")
    inputs = prepare([vit()], make(), InputOptions(batch_size=BATCH))
    readers = readers or [vitprobe.ProbeReader("blocks", **options) for options in READERS.values()]
    return sum(run(inputs, readers, told, keeper or Keeper()), [])
