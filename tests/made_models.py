"""A `train` that trains nothing and writes real checkpoints: tiny models, different by seed, and by
the part of the data."""

from pathlib import Path

import torch
from made_study import made_result

from vitprobe.models import build_model

VIT = {"patch_size": 4, "dim": 16, "heads": 2, "depth": 2, "mlp_dim": 16}
TEXT = """
[study]
title = "Tiny"
dataset = "digits"
seeds = [0, 1]
fractions = [1.0, 0.5]

[train]
image_size = 8

[[model]]
model = "vit"
patch_size = 4
dim = 16
heads = 2
depth = 2
mlp_dim = 16

[[model]]
model = "resnet20"
"""
SIZES = """
[study]
title = "Tiny sizes"
dataset = "digits"
seeds = [1]

[train]
image_size = 8
dim = 16
heads = 2
mlp_dim = 16
patch_size = 4

[[model]]
model = "vit"
label = "deep"
depth = 3

[[model]]
model = "vit"
label = "flat"
depth = 2
"""


class MadeTrain:
    """Weights of a seed, moved the less the more of the data there was; a run whose checkpoint is
    there is read.

    fail: model_name -> the error that is raised instead. calls: the names of the runs, made: those
    whose checkpoint was written.
    """

    def __init__(self, fail=None):
        self.calls, self.made, self.fail = [], [], fail or {}

    def __call__(self, mode=None, *, resume=False, progress=False, config=None, **options):
        name = options["model_name"]
        self.calls.append(name)
        if name in self.fail:
            raise self.fail[name]
        result = made_result(mode, **options)
        result.parameters = self.write(result.path, **options)
        return result

    def write(self, path, *, model, seed, fraction, image_size=None, **options) -> int:
        architecture = {key: options[key] for key in VIT if key in options}
        net = build_model(
            model, num_classes=10, image_size=image_size, seed=seed, architecture=architecture
        )
        if not Path(path).exists():
            self.made.append(options["model_name"])
            noise = torch.Generator().manual_seed(1000 + seed)
            with torch.no_grad():
                for weight in net.parameters():
                    moved = torch.randn(weight.shape, generator=noise)
                    weight += (1 - fraction) * 0.1 * moved
            path.parent.mkdir(parents=True, exist_ok=True)
            held = {
                "model_state_dict": net.state_dict(),
                "architecture": architecture,
                "image_size": [image_size, image_size],
                "normalization": {"mean": [0.3] * 3, "std": [0.4] * 3},
            }
            torch.save(held, path)
        return sum(weight.numel() for weight in net.parameters())
