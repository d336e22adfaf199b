"""A pass of CKA with its null, over made images; for processes, too."""

import warnings

from pass_work import images, vit
from torch import nn

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, BATCH = 46, 8  # the last batch is smaller


def found(keeper=None, told=None, replicates=40, **options):
    """The Datasets of a ViT and of flat images, in order; of a share none."""
    warnings.simplefilter("ignore")
    models = [{"vit": vit()}, {"flat": nn.Sequential(nn.Flatten(), nn.ReLU())}]
    inputs = prepare(models, images(COUNT), InputOptions(batch_size=BATCH))
    readers = [CKAReader(null=replicates, **options)]
    return sum(run(inputs, readers, told, keeper or Keeper()), [])
