"""Other measures of similarity in the pass of CKA, each beside CKA alone: the same images, batches
and models."""

import pytest
import torch
from interleave import interleave, quartiles

import vitprobe
from vitprobe.models import load_model

TABLE = "Time: vitprobe.cka with another measure, blocks of vit and resnet20, 360 digits"
MEASURES = (
    *("cka_rbf", "rsa", "rsa:correlation", "rsa:euclidean:spearman", "rsa:euclidean:kendall"),
    *("procrustes", "gulp", "cca", "svcca", "mutual_knn", "cknna"),
)


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(0)
    return [load_model(spec).eval() for spec in ("vit@digits", "resnet20@digits")]


@pytest.mark.parametrize("measure", [*MEASURES, ",".join(MEASURES)], ids=[*MEASURES, "all"])
def test_a_measure_beside_cka(compared, rounds, models, measure):
    def cka():
        return vitprobe.cka(*models, layers="blocks")

    def both():
        return vitprobe.cka(*models, layers="blocks", measure=f"cka,{measure}")

    assert both().attrs["measures"]
    seconds = interleave({"cka": cka, "vitprobe": both}, rounds(5), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table=TABLE,
        name="all of these" if "," in measure else measure,
        unit="s",
        rounds=len(seconds["cka"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / cka",
        ratio=quartiles([whole / alone for alone, whole in each]),
        target="",
    )
