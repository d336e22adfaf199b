"""Norm ratio and cosine of skips beside the bare forward, survey included."""

import pytest
import torch
from interleave import interleave, quartiles

import vitprobe
from vitprobe.models import load_model

# spec, images, pixels of a side, batch
CASES = (("vit", 512, 32, 64), ("resnet18", 128, 32, 64), ("deit_tiny_patch16_224", 64, 224, 32))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_skips_beside_the_forward(compared, rounds, case):
    spec, examples, side, batch = case
    torch.manual_seed(0)
    model = load_model(spec).eval()
    images = torch.randn(examples, 3, side, side)

    def forward():
        with torch.no_grad():
            for part in images.split(batch):
                model(part)

    def ours():
        return vitprobe.skips(model, images, batch_size=batch)

    assert ours()["ratio"].sel(group="patches").notnull().all()
    seconds = interleave({"forward": forward, "vitprobe": ours}, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.skips, all residual sums, survey included",
        name=f"{spec}, {examples} images of {side} px",
        unit="s",
        rounds=len(seconds["forward"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 1.2",
    )
