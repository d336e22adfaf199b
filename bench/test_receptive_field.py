"""Receptive fields beside the bare forward and the backward passes of their sites."""

import pytest
import torch
from interleave import interleave, quartiles

import vitprobe

LAYERS = {"vit@digits": [f"blocks.{i}" for i in range(6)], "resnet20@digits": None}


@pytest.mark.parametrize("spec", LAYERS)
def test_beside_forward_and_backwards(compared, rounds, spec):
    """All blocks, the look at the model included."""
    model = vitprobe.load_model(spec)
    images = torch.randn(128, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    layers = LAYERS[spec] or [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    for parameter in model.parameters():
        parameter.requires_grad_(False)

    def bare():
        """The least that gives the gradients: a forward of each batch, a backward of each site."""
        held = []
        handles = [
            model.get_submodule(name).register_forward_hook(lambda *each: held.append(each[2]))
            for name in layers
        ]
        for part in images.split(32):
            held.clear()
            x = part.clone().requires_grad_()
            model(x)
            for y in held:
                centre = y[:, :, y.shape[2] // 2, y.shape[3] // 2] if y.ndim == 4 else y[:, -28]
                torch.autograd.grad(centre.mean(1).sum(), x, retain_graph=True)
        for handle in handles:
            handle.remove()

    def ours():
        return vitprobe.receptive_field(model, images, layers=layers, batch_size=32)

    assert ours()["r50"].notnull().all()
    seconds = interleave({"forward and backwards": bare, "vitprobe": ours}, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.receptive_field, 4 x 32 images of 32 px",
        name=f"{len(layers)} blocks of {spec}",
        unit="s",
        rounds=len(seconds["vitprobe"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forward and backwards",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 1.3",
    )
