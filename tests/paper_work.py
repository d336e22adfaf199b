"""A run of every analysis at once, of a small transformer and a small CNN, over made images."""

import copy
import warnings

import torch
from pass_work import images, vit
from torch import nn
from torch.utils.data import TensorDataset

from vitprobe.analyses.paper_reader import PaperReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, BATCH = 72, 12


class Plain(nn.Module):
    """A CNN without blocks, skips or attention."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.layers(x).mean((2, 3)))


def other_vit():
    model = copy.deepcopy(vit())
    with torch.no_grad():
        model.blocks[1].mlp.fc2.weight += 0.3
    return model


def labelled(count):
    """Made images of three classes."""
    return TensorDataset(images(count), torch.arange(count) % 3)


def paper(keeper=None, told=None, models=None, count=COUNT, batch=BATCH):
    """The Datasets of the reader, the findings first; of a share none."""
    warnings.simplefilter("ignore")
    models = models or [{"vit": vit()}, {"cnn": Plain()}]
    inputs = prepare(models, labelled(count), InputOptions(batch_size=batch))
    return sum(run(inputs, [PaperReader()], told, keeper or Keeper()), [])
