"""Vision models of transformers: `hf:REPOSITORY_OR_FOLDER` (the extra `[hf]`)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError, brief, did_you_mean
from vitprobe.files import expanded
from vitprobe.models.architecture import Architecture
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.hub import pinned, quiet_hub
from vitprobe.models.image_sizes import Frame, whole_patches
from vitprobe.models.outline import outline
from vitprobe.models.shapes import counted, shape_of
from vitprobe.models.source import Source

TRANSFORMERS = "hf:"
NO_CODE = {"trust_remote_code": False}  # in a repository; unset, its client asks at the terminal
PIXELS = "pixel_values"
PATCHES = re.compile(r".*patch_embeddings\.projection\.weight")
LAYER = r"(?:.*\.)?(?:layer|layers)\.(\d+)\."


class TransformersSource(Source):
    """One model as its config.json says: with its classifier where it was saved with one, else the
    bare model; of a model of images and text the part that sees.

    revision: branch, tag or commit; None: the main one. What it is at now is `self.revision`.
    The image size, mean and std are those of its image processor, where there is one.
    """

    def __init__(self, name: str, revision: str | None = None):
        super().__init__(name)
        self.where = name.removeprefix(TRANSFORMERS)
        try:
            import transformers
        except ImportError as error:
            raise InputError(f'{name} needs transformers: pip install "vitprobe[hf]"') from error
        self._library = transformers
        folder = expanded(self.where or ".", "folder")
        if self.where and folder.is_dir():
            if revision is not None:
                raise InputError(f"{name} is a folder, which has no revisions")
            self.where = str(folder)
        elif self.where.startswith((".", "/", "~")) or not self.where:
            raise InputError(f"{name}: no folder {folder}")
        else:
            self.revision = pinned(name, self.where, revision)
        self.config = self._read(
            transformers.AutoConfig.from_pretrained, "a model of transformers", **NO_CODE
        )
        self.config = getattr(self.config, "vision_config", self.config)
        self.processor = self._processor()
        self.kind = self._kind()
        self.takes_classes = self.kind is transformers.AutoModelForImageClassification
        self.has_classifier = self.takes_classes
        self.default_classes = self.config.num_labels if self.takes_classes else None

    def _read(self, read, what: str, **options) -> Any:
        at = {"revision": self.revision} if self.revision else {}
        try:
            with quiet_hub(), _quiet(self._library):
                return read(self.where, **at, **options)
        except Exception as error:  # JSON's, the client's, the library's
            raise InputError(f"{self.name} cannot be read as {what} ({brief(error)})") from error

    def _processor(self) -> Mapping[str, Any]:
        """What its image processor does, as written; {} where there is none."""
        try:
            return self._read(read_processor, "an image processor")
        except InputError:
            return {}

    def _kind(self) -> type:
        classifies = any("ForImageClassification" in a for a in self.config.architectures or ())
        if classifies:
            return self._library.AutoModelForImageClassification
        return self._library.AutoModel

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        unknown = [key for key in given if not hasattr(self.config, key)]
        if unknown:
            near = did_you_mean(unknown[0], self.config.to_dict())
            raise InputError(f"{self.name} has no argument {unknown[0]!r} in its config{near}")
        new = copy(self)
        new.config = deepcopy(self.config)
        if checkpoint is not None:
            new.inferred = {k: v for k, v in self._told(checkpoint).items() if k not in given}
        for key, value in (dict(new.inferred) | dict(given)).items():
            setattr(new.config, key, value)
        new.default_classes = new.config.num_labels if new.takes_classes else None
        return new

    def _told(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Patch, channels, width and depth in which weights differ from the configuration."""
        state, told = checkpoint.state, {}
        key = next((key for key in state if PATCHES.fullmatch(key)), "")
        if (shape := shape_of(state, key, 4)) is not None:
            told |= {"patch_size": shape[-1], "num_channels": shape[1], "hidden_size": shape[0]}
        if depth := counted(state, LAYER):
            told["num_hidden_layers"] = depth["depth"].value
        return {k: v for k, v in told.items() if _own(self.config, k) not in (None, v)}

    def native(self, checkpoint: Checkpoint) -> Checkpoint:
        """In the names of the model as it is built now: the files of earlier releases, and those
        that `save_pretrained` writes, have others, which transformers itself translates."""
        model = outline(self, 2, None)
        own = model.state_dict()
        if sum(key in own for key in checkpoint.state) * 2 > len(own):
            return checkpoint
        state, told = dict(checkpoint.state), {}
        config = self.configured({}, checkpoint).config
        with _quiet(self._library), suppress(Exception):  # no such file, after all
            model, told = type(model).from_pretrained(
                None, config=config, state_dict=state, output_loading_info=True
            )
        if not told or len(told["missing_keys"]) * 2 > len(own):
            return checkpoint
        read = {k: v for k, v in model.state_dict().items() if k not in told["missing_keys"]}
        return replace(checkpoint, state=read)

    def default_size(self, fallback: int | None) -> Frame | None:
        size = getattr(self.config, "image_size", None) or self._processed_size() or fallback
        size = tuple(size) if isinstance(size, list | tuple) else (size, size)
        if None in size:
            return None
        patch = getattr(self.config, "patch_size", None)
        return whole_patches(size, tuple(patch) if isinstance(patch, list) else patch)

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        config = deepcopy(self.config)
        if num_classes is not None and self.takes_classes:
            config.num_labels = num_classes
        if size is not None and getattr(config, "image_size", None) is not None:
            config.image_size = size[0] if size[0] == size[1] else list(size)
        with _quiet(self._library):
            return self._of_images(self.kind.from_config(config, **NO_CODE))

    def _of_images(self, model: nn.Module) -> nn.Module:
        if getattr(model, "main_input_name", PIXELS) != PIXELS:
            raise InputError(f"{self.name} is no model of images: it takes {model.main_input_name}")
        return model

    def for_pretrained(self) -> Source:
        return self

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        read = partial(self.kind.from_pretrained, config=deepcopy(self.config), **NO_CODE)
        model, told = self._read(read, "weights", output_loading_info=True)
        self._of_images(model)
        missing, wrong = sorted(told["missing_keys"]), sorted(told["mismatched_keys"])
        if absent := {key.partition(".")[0] for key in missing} & {"pooler"}:
            model.pooler, missing = None, [k for k in missing if k.split(".")[0] not in absent]
        if missing or wrong:
            first = str((missing + wrong)[0])
            raise InputError(
                f"{self.name} lacks {len(missing + wrong)} of the model's weights ({first} ...): "
                "its config.json is another model's"
            )
        usual = self.default_size(None)
        if size and size != usual and "interpolate_pos_encoding" in _parameters(model):
            model.forward = partial(model.forward, interpolate_pos_encoding=True)
        return model, f"transformers {type(model).__name__}"

    def transform(self, size: Frame | None) -> Transform:
        return processed(self.processor, size or self.default_size(None))

    def _processed_size(self) -> int | None:
        """The side of the images that its processor makes."""
        done = self.processor
        return _side(done.get("crop_size") if done.get("do_center_crop") else done.get("size"))


def read_processor(where: str, **options: Any) -> Mapping[str, Any]:
    """The image processor's configuration of a repository or folder, as written."""
    from transformers.image_processing_base import ImageProcessingMixin

    return ImageProcessingMixin.get_image_processor_dict(where, **options)[0]


def processed(done: Mapping[str, Any], size: Frame | None) -> Transform:
    """What an image processor's configuration does to an image that is to have this size."""
    resample = Image.Resampling(done.get("resample") or Image.Resampling.BILINEAR).name.lower()
    crop, whole = _side(done.get("crop_size")), _side(done.get("size"))
    cut = done.get("do_center_crop") and crop and whole and crop <= whole
    normal = done.get("do_normalize", True)
    return Transform(
        image_size=size,
        mean=tuple(done["image_mean"]) if normal and done.get("image_mean") else None,
        std=tuple(done["image_std"]) if normal and done.get("image_std") else None,
        crop_pct=crop / whole if cut else 1.0,
        interpolation=resample,
    )


def given_transform(model: nn.Module) -> Transform:
    """What a model of transformers that the user made wants done to an image: the size of its
    configuration, and the image processor that lies where it was loaded from, without a network."""
    where, done = getattr(model, "name_or_path", ""), {}
    if where:
        with quiet_hub(), suppress(Exception):  # the client's errors: there is none
            done = read_processor(where, local_files_only=True)
    size = getattr(model.config, "image_size", None)
    size = size or _side(done.get("crop_size")) or _side(done.get("size"))
    return processed(done, tuple(size) if isinstance(size, list | tuple) else size)


@contextmanager
def _quiet(transformers) -> Iterator[None]:
    """No bars and no reports of what was loaded: what matters of them is said otherwise."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


def _side(size: Any) -> int | None:
    """A processor's size in pixels: a number, {height, width} or {shortest_edge}."""
    if isinstance(size, Mapping):
        size = size.get("shortest_edge") or size.get("height")
    return size if isinstance(size, int) and size > 0 else None


def _own(config: Any, key: str) -> Any:
    value = getattr(config, key, None)
    return value[0] if isinstance(value, list | tuple) and len(set(value)) == 1 else value


def _parameters(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(model.forward).parameters
