"""Dominant examples beside the bare forward pass: the same images, batches and model."""

import pytest
import timm
import torch
from interleave import interleave, quartiles

import vitprobe
from vitprobe.models import build_model

TABLE = "Time: vitprobe.dominant beside the forward pass"


def vit_tiny():
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", num_classes=10).eval()


def resnet20():
    return build_model("resnet20").eval()


CASES = {
    "ViT-tiny, 2 x 32 images of 224 px, blocks": (vit_tiny, 64, 224, 32, "blocks"),
    "ResNet-20, 4 x 128 images of 32 px, blocks": (resnet20, 512, 32, 128, "blocks"),
}


@pytest.mark.parametrize("name", CASES)
def test_dominant_beside_the_forward(compared, rounds, name):
    """Survey, both maps, shares, examples and thumbnails included."""
    made, count, side, batch, layers = CASES[name]
    model, images = made(), torch.randn(count, 3, side, side)

    def forward():
        with torch.no_grad():
            for part in images.split(batch):
                model(part)

    def ours():
        return vitprobe.dominant(model, images, layers=layers, batch_size=batch)

    def cka():
        return vitprobe.cka(model, data=images, layers=layers, batch_size=batch)

    assert ours()["cka_without"].notnull().all()
    ways = {"forward": forward, "vitprobe": ours, "vitprobe.cka": cka}
    seconds = interleave(ways, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table=TABLE,
        name=name,
        unit="s",
        rounds=len(seconds["forward"]),
        values={way: quartiles(spans) for way, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole, _ in each]),
        target="<= 1.5",
    )
