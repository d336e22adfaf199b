"""timm's models: any name that `timm.list_models()` knows, with or without a `.tag`."""

from __future__ import annotations

from copy import copy
from typing import Any

import timm
from timm.data import resolve_data_config
from timm.layers import PatchEmbed
from timm.models import PretrainedCfg
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.architecture import Architecture
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.hub import quiet_hub
from vitprobe.models.image_sizes import whole_patches
from vitprobe.models.outline import outline
from vitprobe.models.source import Frame, Source, check_patches
from vitprobe.models.timm_arguments import told_arguments

# Arguments of timm's by which it would read other files, in its own way.
OTHER_WEIGHTS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path")
DISTILLED = "_distilled"


class TimmSource(Source):
    """One timm model. Image size, crop and normalisation are those of its configuration.

    model: timm's name for it, where that is not the name itself.
    """

    def __init__(self, name: str, model: str | None = None):
        super().__init__(name)
        self.model = model or name
        self.arguments: dict[str, Any] = {}  # of the model's constructor
        self.config = self._configuration()

    def _configuration(self) -> PretrainedCfg:
        try:
            config = timm.get_pretrained_cfg(self.model)
        except RuntimeError as error:  # timm's word for a tag that it doesn't know
            architecture = self.name.partition(".")[0]
            tags = timm.list_pretrained(f"{architecture}.*")
            near = did_you_mean(self.name, tags) or f": {architecture} alone is known"
            raise InputError(f"timm has no weights {self.name!r}{near}") from error
        if config is None:  # a name that timm still builds under its new one
            near = did_you_mean(self.name, timm.list_models())
            raise InputError(f"timm has renamed {self.name!r}{near or ': see timm.list_models()'}")
        return config

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        other = next((key for key in given if key in OTHER_WEIGHTS), None)
        if other:
            raise InputError(
                f"{self.name}: weights are not named by {other}, but as {self.name}@FILE or "
                f"{self.name}@pretrained"
            )
        new = copy(self)
        new.arguments = dict(given)
        if checkpoint is None:
            return new
        renamed = self._with_or_without_distillation(checkpoint)
        if renamed is not None:
            return renamed.configured(given, checkpoint)
        told = told_arguments(outline(new, 2, new.default_size(None)), checkpoint.state)
        told = {key: each for key, each in told.items() if each.because or key not in given}
        for key in given:
            if key in told:
                raise InputError(
                    f"checkpoint {checkpoint.path} is a {self.name} with {key} {told[key].value} "
                    f"({told[key].because}), but {key} {given[key]} was asked for: leave it out, "
                    "or use other weights"
                )
        new.inferred = {key: each.value for key, each in told.items()}
        new.arguments |= new.inferred
        new.guessed = tuple(key for key, each in told.items() if not each.because)
        if new.guessed:
            new.remark = f"{new.inferred['num_heads']} heads are assumed: the file does not say"
        return new

    def _with_or_without_distillation(self, checkpoint: Checkpoint) -> Source | None:
        """timm has DeiT with a distillation token under a name of its own."""
        has_token = "dist_token" in checkpoint.state
        if has_token == (DISTILLED in self.model) or "cls_token" not in checkpoint.state:
            return None
        plain = self.model.replace(DISTILLED, "")
        other = plain if not has_token else plain.replace("_patch", f"{DISTILLED}_patch", 1)
        if other == self.model or not timm.is_model(other.partition(".")[0]):
            return None
        new = TimmSource(other.partition(".")[0])
        new.remark = f"its weights are those of {new.name}"
        return new

    def default_size(self, fallback: int | None) -> Frame:
        size = tuple(self.config.input_size[1:])
        return whole_patches(size, self.arguments.get("patch_size"))

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        return self._create(size, **({} if num_classes is None else {"num_classes": num_classes}))

    def for_pretrained(self) -> Source:
        return self if self.config.has_weights else super().for_pretrained()

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        tag = f".{self.config.tag}" if self.config.tag else ""
        with quiet_hub():
            model = self._create(size, pretrained=True)
        return model, f"timm {self.config.architecture}{tag}"

    def transform(self, size: Frame | None) -> Transform:
        data = resolve_data_config(pretrained_cfg=self.config.to_dict())
        return Transform(
            image_size=size or self.default_size(None),
            mean=data["mean"],
            std=data["std"],
            crop_pct=data["crop_pct"],
            interpolation=data["interpolation"],
        )

    def _create(self, size: Frame | None, **options) -> nn.Module:
        # Only models of a fixed input size take one; the others work at any.
        if size and self.config.fixed_input_size:
            options["img_size"] = size
        model = timm.create_model(self.model, **self.arguments, **options)
        patches = getattr(model, "patch_embed", None)
        if size and isinstance(patches, PatchEmbed) and not patches.dynamic_img_pad:
            check_patches(self.name, size, patches.patch_size)
        return model
