"""A pass of what layers know, of two kinds of models, over made images of three classes; for
processes, too."""

import warnings

from paper_work import Plain
from pass_work import vit
from probe_work import named

import vitprobe
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.run import run

COUNT, TRAINED, BATCH = 92, 70, 8  # the last batch is smaller
STREAMED = ("cka_biased", "cka_rbf", "rsa", "rsa:euclidean:kendall", "procrustes:root", "gulp")
TOGETHER = ("cca", "svcca:3", "mutual_knn:3")
READERS = {
    "cka": lambda: vitprobe.CKAReader("blocks", null=19),
    "measures": lambda: vitprobe.MeasuresReader([*STREAMED, *TOGETHER], "blocks", tokens="mean"),
    "probe": lambda: vitprobe.ProbeReader("blocks"),
    "knn": lambda: vitprobe.ProbeReader("blocks", solver="knn", k=5),
    "compare": lambda: vitprobe.CompareReader("blocks", null=19),
}


def known(names=tuple(READERS), keeper=None, told=None, size=(COUNT, TRAINED), **given):
    """The Datasets of these readers, in order; of a share none.

    size: images, and how many of them are to train on. given: models and readers, instead of new
    ones.
    """
    warnings.simplefilter("ignore")
    models = given.get("models") or [{"vit": vit()}, {"cnn": Plain()}]
    inputs = prepare(models, named(*size), InputOptions(batch_size=BATCH))
    readers = given.get("readers") or [READERS[name]() for name in names]
    return sum(run(inputs, readers, told, keeper or Keeper()), [])
