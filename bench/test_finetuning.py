"""Two checkpoints compared block by block, beside the bare forward passes of both."""

import warnings

import torch
from interleave import interleave, quartiles

import vitprobe


def test_finetuning_beside_the_forwards(compared, rounds):
    """All blocks and the attention of all layers, surveys included."""
    warnings.filterwarnings("ignore", message="only .* batches", module="vitprobe")
    models = [vitprobe.load_model("vit", image_size=32, seed=seed) for seed in (0, 1)]
    images = torch.randn(360, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def forward():
        with torch.no_grad():
            for part in images.split(45):
                for model in models:
                    model(part)

    def ours():
        return vitprobe.finetuning(models, images, batch_size=45)

    assert ours()["cka"].notnull().all() and ours()["distance"].notnull().all()
    seconds = interleave({"forwards": forward, "vitprobe": ours}, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.finetuning of two ViTs, 8 x 45 images of 32 px",
        name="all blocks, attention of all layers",
        unit="s",
        rounds=len(seconds["forwards"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forwards",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 1.5",
    )
