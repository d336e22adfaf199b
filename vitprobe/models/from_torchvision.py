"""torchvision's classification models: `torchvision:NAME`."""

from __future__ import annotations

import torchvision
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.source import Frame, Source

PREFIX = "torchvision:"


def torchvision_names() -> list[str]:
    """Names of the classification models, without the prefix."""
    return torchvision.models.list_models(module=torchvision.models)


class TorchvisionSource(Source):
    """One torchvision model; image size, crop and normalisation as its default weights want."""

    default_classes = 1000

    def __init__(self, name: str):
        super().__init__(name)
        self.model = name.removeprefix(PREFIX)
        names = torchvision_names()
        if self.model not in names:
            near = did_you_mean(self.model, names)
            raise InputError(f"torchvision has no classification model {self.model!r}{near}")
        self.weights = torchvision.models.get_model_weights(self.model).DEFAULT
        self.preset = self.weights.transforms()

    def default_size(self, fallback: int | None) -> Frame:
        side = self.preset.crop_size[0]
        return side, side

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        return torchvision.models.get_model(
            self.model, weights=None, num_classes=num_classes, **self._sized(size)
        )

    def for_pretrained(self) -> Source:
        return self

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        model = torchvision.models.get_model(self.model, weights=self.weights, **self._sized(size))
        return model, f"torchvision {self.weights}"

    def transform(self, size: Frame | None) -> Transform:
        preset = self.preset
        return Transform(
            image_size=size or self.default_size(None),
            mean=preset.mean,
            std=preset.std,
            crop_pct=min(preset.crop_size[0] / preset.resize_size[0], 1.0),
            interpolation=preset.interpolation.value,
        )

    def _sized(self, size: Frame | None) -> dict:
        # Only these two families are built for one image size; the others work at any.
        if size and self.model.startswith("vit_"):
            return {"image_size": size[0]}
        if size and self.model.startswith("maxvit"):
            return {"input_size": size}
        return {}
