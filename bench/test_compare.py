"""Eight models in one pass beside their bare forwards, and beside CKA of pair after pair."""

from itertools import combinations

import pytest
import torch
from interleave import interleave, quartiles

import vitprobe
from vitprobe.models import load_model

BATCH, EXAMPLES, FEW, SIDE = 45, 180, 90, 32
SPECS = ("vit", "resnet20")


@pytest.mark.parametrize("null", [0, 100], ids=lambda null: f"null-{null}")
def test_eight_models_beside_their_forwards(compared, rounds, null):
    models = _models(8)
    images = torch.randn(EXAMPLES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def forwards():
        with torch.no_grad():
            for model in models.values():
                for part in images.split(BATCH):
                    model(part)

    def ours():
        return vitprobe.compare(models, images, batch_size=BATCH, null=null)

    assert ours()["similarity"].notnull().all()
    target = "<= 1.5" if not null else "<= 2"
    what = f"{null} permutations, {EXAMPLES}"
    _tell(compared, {"forwards": forwards, "vitprobe": ours}, rounds(5), what, "forwards", target)


def test_eight_models_beside_pair_after_pair(compared, rounds):
    models = _models(8)
    images = torch.randn(FEW, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def pairs():
        for one, two in combinations(models, 2):
            both = {one: models[one]}, {two: models[two]}
            vitprobe.cka(*both, images, batch_size=BATCH, layers="blocks")

    def ours():
        return vitprobe.compare(models, images, batch_size=BATCH, null=0)

    what = f"CKA of 28 pairs, {FEW}"
    _tell(compared, {"pairs": pairs, "vitprobe": ours}, rounds(3), what, "pairs", "<= 0.2")


def _models(count):
    """Half of them ViTs, half ResNet-20s, of several seeds."""
    return {
        f"{spec} {seed}": load_model(spec, seed=seed).eval()
        for seed in range(count // len(SPECS))
        for spec in SPECS
    }


def _tell(compared, calls, times, what, beside, target):
    seconds = interleave(calls, times, warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.compare of 8 models, block outputs, surveys included",
        name=f"{what} images of {SIDE} px in batches of {BATCH}",
        unit="s",
        rounds=len(seconds[beside]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of=f"vitprobe / {beside}",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target=target,
    )
