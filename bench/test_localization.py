"""Localisation, survey included, beside the bare forward: all tokens with all patches."""

import timm
import torch
from interleave import interleave, quartiles

import vitprobe

TABLE = "Time: vitprobe.localization, all tokens with all patches"


def measured(compared, rounds, name, model, images, batch):
    def forward():
        with torch.no_grad():
            for part in images.split(batch):
                model(part)

    def ours():
        return vitprobe.localization(model, images, batch_size=batch)

    assert ours()["cka"].notnull().all()
    seconds = interleave({"forward": forward, "vitprobe": ours}, rounds(5), warm_up=0)
    each = zip(*seconds.values(), strict=True)
    compared(
        table=TABLE,
        name=name,
        unit="s",
        rounds=len(seconds["forward"]),
        values={way: quartiles(spans) for way, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 3",
    )


def test_vit(compared, rounds):
    torch.manual_seed(0)
    model = vitprobe.load_model("vit", image_size=32)
    measured(compared, rounds, "vit, 2 x 128 images of 32 px", model, images(256, 32), 128)


def test_vit_tiny(compared, rounds):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=10).eval()
    measured(compared, rounds, "ViT-tiny, 2 x 16 images of 224 px", model, images(32, 224), 16)


def test_resnet(compared, rounds):
    model = vitprobe.load_model("resnet20", image_size=32)
    measured(compared, rounds, "resnet20, 2 x 128 images of 32 px", model, images(256, 32), 128)


def images(count, side):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
