"""What a user writes, as a type checker sees it: mypy reads this, nothing runs it.

`type: ignore` marks what has to be refused; mypy tells where one of them is not.
"""

from pathlib import Path

import matplotlib.figure
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import assert_type

import vitprobe

model: nn.Module = vitprobe.load_model("resnet20@digits", seed=1)
images = torch.randn(64, 3, 32, 32)

# The options of images, which every analysis takes, are in the signature of each.
cka = vitprobe.cka("vit", {"mine": model}, images, layers=["blocks", nn.Conv2d], batch_size=16)
assert_type(cka, xr.Dataset)
assert_type(vitprobe.cka("vit", data=DataLoader(TensorDataset(images)), device="cpu"), xr.Dataset)
assert_type(vitprobe.attention("vit", examples=64, mean=(0.5, 0.5, 0.5)), xr.Dataset)
assert_type(vitprobe.maps("vit", "digits", 3, seed=1), xr.Dataset)
assert_type(vitprobe.compare(["vit", "resnet20", model]), xr.Dataset)
assert_type(vitprobe.finetuning({"before": "vit", "after": model}), xr.Dataset)
assert_type(vitprobe.data_size("digits", examples=128), xr.Dataset)

vitprobe.cka("vit", batchsize=16)  # type: ignore[call-arg]
vitprobe.cka("vit", batch_size="16")  # type: ignore[arg-type]
vitprobe.cka(3)  # type: ignore[arg-type]
vitprobe.maps("vit", "digits", 3, examples=64)  # type: ignore[call-arg]
vitprobe.data_size("digits", image_size=64)  # type: ignore[call-arg]
vitprobe.ckas("vit")  # type: ignore[attr-defined]

readers = [vitprobe.CKAReader("blocks"), vitprobe.AttentionReader()]
assert_type(vitprobe.run(readers, ["vit", "resnet20"], examples=64), list[list[xr.Dataset]])
vitprobe.run("cka", "vit")  # type: ignore[arg-type]
assert_type(vitprobe.merge(Path("a.partial")), list[xr.Dataset])

assert_type(vitprobe.similarity(images, images), float)
assert_type(vitprobe.similarity(images, images, ["cka", "rsa"]), dict[str, float])
assert_type(vitprobe.plot(cka, title="mine"), matplotlib.figure.Figure)
assert_type([site.name for site in vitprobe.survey(model, images)], list[str])
assert_type(vitprobe.__version__, str)
