"""A pass of what a model sees, of two checkpoints, over made images; for processes, too."""

import copy
import warnings

import torch
from pass_work import images, vit

import vitprobe
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, BATCH = 72, 8
READERS = {
    "skips": vitprobe.SkipsReader,
    "receptive_field": vitprobe.ReceptiveFieldReader,
    "localization": vitprobe.LocalizationReader,
    "finetuning": vitprobe.FinetuningReader,
    "dominant": vitprobe.DominantReader,
}


def seen(names=tuple(READERS), keeper=None, told=None, tolerance=None, count=COUNT, readers=None):
    """The Datasets of these readers, in order; of a share none. readers: instead of new ones."""
    warnings.simplefilter("ignore")
    tuned = copy.deepcopy(vit())
    with torch.no_grad():
        tuned.blocks[1].mlp.fc2.weight += 0.3
    models = [{"before": vit()}, {"after": tuned}]
    inputs = prepare(models, images(count), InputOptions(batch_size=BATCH))
    readers = readers or [READERS[name]() for name in names]
    return sum(run(inputs, readers, told, keeper or Keeper(), tolerance), [])
