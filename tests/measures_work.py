"""A pass of CKA with other measures over made images; for processes, too."""

import copy
import warnings

import torch
from pass_work import images, vit

from vitprobe.analyses.cka_measures import reader_of_measures
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, BATCH = 48, 8
MEASURES = (
    "cka,cka_biased,cka_rbf,rsa,rsa:correlation,rsa:cosine:cosine,rsa:euclidean:spearman,"
    "rsa:euclidean:kendall,nbs,procrustes:root,gulp,cca,svcca:3,pwcca,mutual_knn:3,cknna:4"
)


def measured(measures=MEASURES, keeper=None, told=None, count=COUNT, layers="blocks", tokens="cls"):
    """The Datasets of the pair and of each with itself; of a share none."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tuned = copy.deepcopy(vit())
    with torch.no_grad():
        tuned.blocks[1].mlp.fc2.weight *= -3
    models = [{"before": vit()}, {"after": tuned}]
    inputs = prepare(models, images(count), InputOptions(batch_size=BATCH))
    reader = reader_of_measures(measures, layers=layers, tokens=tokens)
    return sum(run(inputs, [reader], told, keeper or Keeper()), [])
