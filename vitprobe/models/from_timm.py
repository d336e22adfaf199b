"""timm's models: any name that `timm.list_models()` knows, with or without a `.tag`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import timm
from timm.data import resolve_data_config
from timm.layers import PatchEmbed
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.source import Frame, Source, check_patches


class TimmSource(Source):
    """One timm model. Image size, crop and normalisation are those of its configuration.

    model: timm's name for it, where that is not the name itself.
    """

    def __init__(self, name: str, model: str | None = None):
        super().__init__(name)
        self.model = model or name
        try:
            self.config = timm.get_pretrained_cfg(self.model)
        except RuntimeError as error:  # timm's word for a tag that it doesn't know
            architecture = name.partition(".")[0]
            tags = timm.list_pretrained(f"{architecture}.*")
            near = did_you_mean(name, tags) or f": {architecture} alone is known"
            raise InputError(f"timm has no weights {name!r}{near}") from error
        if self.config is None:  # a name that timm still builds under its new one
            near = did_you_mean(name, timm.list_models())
            raise InputError(f"timm has renamed {name!r}{near or ': see timm.list_models()'}")

    def default_size(self, fallback: int | None) -> Frame:
        return tuple(self.config.input_size[1:])

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        return self._create(size, **({} if num_classes is None else {"num_classes": num_classes}))

    def for_pretrained(self) -> Source:
        return self if self.config.has_weights else super().for_pretrained()

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        tag = f".{self.config.tag}" if self.config.tag else ""
        with _quiet_hub():
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
        model = timm.create_model(self.model, **options)
        patches = getattr(model, "patch_embed", None)
        if size and isinstance(patches, PatchEmbed) and not patches.dynamic_img_pad:
            check_patches(self.name, size, patches.patch_size)
        return model


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Without a network the hub's client warns of each of its many retries; one error is enough."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
