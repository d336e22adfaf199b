"""A pass of dominant examples over made images, of which some are bright; for processes, too."""

import warnings

import torch
from pass_work import vit
from torch.utils.data import TensorDataset

from vitprobe.analyses.dominant_reader import DominantReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, BATCH = 72, 8


def images():
    x = torch.randn(COUNT, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    x[::9] += 6
    x[9] = x[18]  # two with the same score where they share a batch
    return x


def dominant(keeper=None, told=None, passes=1):
    """A list of the Dataset, of a share of nothing."""
    warnings.simplefilter("ignore")
    data = TensorDataset(images(), torch.arange(COUNT) % 5)
    inputs = prepare([vit()], data, InputOptions(batch_size=BATCH), passes=passes)
    reader = DominantReader("all", drop=0.1, top=12)
    return sum(run(inputs, [reader], told, keeper or Keeper()), [])


def in_a_process():
    torch.set_num_threads(1)
    return dominant()[0]
