"""torchvision's classification models: `torchvision:NAME`."""

from __future__ import annotations

import re
from copy import copy
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import VisionTransformer

from vitprobe.data import Transform
from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.architecture import Architecture
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.image_sizes import resampled, sizes_of_positions, whole_patches
from vitprobe.models.outline import outline, weight_shapes
from vitprobe.models.shapes import counted, shape_of
from vitprobe.models.source import Frame, Source

PREFIX = "torchvision:"
LAYER = "encoder.layers.encoder_layer_"


def torchvision_names() -> list[str]:
    """Names of the classification models, without the prefix."""
    return torchvision.models.list_models(module=torchvision.models)


class TorchvisionSource(Source):
    """One torchvision model; image size, crop and normalisation as its default weights want."""

    default_classes = 1000

    def __init__(self, name: str):
        super().__init__(name)
        self.model = name.removeprefix(PREFIX)
        self.arguments: dict[str, Any] = {}
        names = torchvision_names()
        if self.model not in names:
            near = did_you_mean(self.model, names)
            raise InputError(f"torchvision has no classification model {self.model!r}{near}")
        self.weights = torchvision.models.get_model_weights(self.model).DEFAULT
        self.preset = self.weights.transforms()

    def default_size(self, fallback: int | None) -> Frame:
        side = self.preset.crop_size[0]
        return whole_patches((side, side), self.arguments.get("patch_size"))

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        new = copy(self)
        new.arguments = dict(given)
        if checkpoint is not None and self.model.startswith("vit_"):
            new.inferred = new._told(checkpoint, given)
            new.arguments |= new.inferred
        return new

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        options = {} if num_classes is None else {"num_classes": num_classes}
        if self.model.startswith("vit_"):
            return self._vit(options | self._sized(size))
        get = torchvision.models.get_model
        return get(self.model, weights=None, **options, **self._sized(size), **self.arguments)

    def for_pretrained(self) -> Source:
        return self

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        told = f"torchvision {self.weights}"
        if size in (None, self.default_size(None)) or not self.model.startswith("vit_"):
            get, sized = torchvision.models.get_model, self._sized(size)
            return get(self.model, weights=self.weights, **sized, **self.arguments), told
        model = self.build(len(self.weights.meta["categories"]), size)
        state = self.weights.get_state_dict(progress=False, check_hash=True)
        shapes = weight_shapes(self, 2, self.default_size(None))
        sizes = sizes_of_positions(state, shapes, self.default_size(None), None)
        model.load_state_dict(resampled(state, sizes, size, self.name))
        return model, told

    def _vit(self, options: dict[str, Any]) -> nn.Module:
        """Its function for this name fixes the sizes, which the class itself takes."""
        with torch.device("meta"):
            usual = torchvision.models.get_model(self.model, weights=None)
        sizes = {
            "image_size": usual.image_size,
            "patch_size": usual.patch_size,
            "num_layers": len(usual.encoder.layers),
            "num_heads": usual.encoder.layers[0].num_heads,
            "hidden_dim": usual.hidden_dim,
            "mlp_dim": usual.mlp_dim,
        }
        return VisionTransformer(**sizes | options | self.arguments)

    def _told(self, checkpoint: Checkpoint, given: Architecture) -> dict[str, Any]:
        """Patch, width and depth where the weights of a ViT differ from the name's."""
        state, told = checkpoint.state, {}
        own = outline(self, 2, None)
        if (shape := shape_of(state, "conv_proj.weight", 4)) is not None:
            told |= {"patch_size": shape[-1], "hidden_dim": shape[0]}
        if (shape := shape_of(state, f"{LAYER}0.mlp.0.weight", 2)) is not None:
            told["mlp_dim"] = shape[0]
        if depth := counted(state, re.escape(LAYER) + r"(\d+)\."):
            told["num_layers"] = depth["depth"].value
        usual = {
            "patch_size": own.patch_size,
            "hidden_dim": own.hidden_dim,
            "mlp_dim": own.mlp_dim,
            "num_layers": len(own.encoder.layers),
        }
        found = {k: v for k, v in told.items() if v != usual[k] and k not in given}
        if "hidden_dim" in found and "num_heads" not in given:
            found["num_heads"] = max(found["hidden_dim"] // 64, 1)
            self.guessed = ("num_heads",)
            self.remark = f"{found['num_heads']} heads are assumed: the file does not say"
        return found

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
