"""The model of a run: built or read, with the classifier that the data need."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vitprobe.data import ImageData, Transform
from vitprobe.errors import InputError, option
from vitprobe.models import build_model, read_checkpoint, stored
from vitprobe.models.spec import PRETRAINED, parse_spec
from vitprobe.models.without_skip import ARGUMENT
from vitprobe.training.settings import Settings


@dataclass(frozen=True)
class Trainee:
    """model: on the device. transform: from an image to its input, all fields known.

    trained: which weights are, in words. start_sha256: of the weights' file that it starts from,
    or "". architecture: options of a ViT as built. note: a line.
    """

    model: nn.Module
    transform: Transform
    trained: str
    start_sha256: str
    architecture: dict
    note: str

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())


def new_trainee(settings: Settings, data: ImageData, device: torch.device) -> Trainee:
    """The settings' model for that data set, on the device, ready to be trained.

    Of trained weights the classifier is kept where they were trained on the same classes, by name
    and order, and all weights go on from there; else, and always for a probe, it is drawn anew.

    Raises InputError for a model or weights that cannot be had, or do not fit.
    """
    new_head = settings.checkpoint is not None and not _same_classes(settings, data)
    at = "" if settings.checkpoint is None else f"@{settings.checkpoint}"
    model = build_model(
        settings.model + at,
        num_classes=data.num_classes,
        image_size=settings.image_size,
        fallback_image_size=data.image_size,
        seed=settings.seed,
        architecture=settings.architecture,
        new_head=new_head,
        without_skip=settings.remove_skip,
    )
    if settings.compile and ARGUMENT in model.provenance["architecture"]:
        both = option("compile", True), option("remove_skip")
        raise InputError(f"{both[0]} does not go with {both[1]}: leave it out")
    transform: Transform = model.transform.filled(data.image_size, data.mean, data.std)
    if transform.image_size is None:
        raise InputError(f"the images of {data.name} differ in size: give {option('image_size')}")
    frozen = sum(not weight.requires_grad for weight in model.parameters())
    trained = f"all weights but {frozen} that the model freezes itself" if frozen else "all weights"
    if settings.mode == "probe":
        trained = _freeze_all_but_classifier(model, settings.model, data.num_classes)
    return Trainee(
        model.to(device, memory_format=_layout(model)),
        transform,
        trained,
        "" if settings.checkpoint is None else model.provenance["weights_sha256"],
        dict(model.provenance.get("architecture", {})),
        model.provenance["note"],
    )


def _layout(model: nn.Module) -> torch.memory_format:
    """Channels last, in which 2-D convolutions are quicker (ResNet-18 on 2 CPU cores: 1.15 times,
    with bf16 on GPUs more); as it is for models with 3-D ones, whose weights cannot be."""
    volumes = any(weight.ndim == 5 for weight in model.parameters())
    return torch.preserve_format if volumes else torch.channels_last


def _same_classes(settings: Settings, data: ImageData) -> bool:
    if settings.mode == "probe" or settings.checkpoint == PRETRAINED:
        return False
    spec = parse_spec(f"{settings.model}@{settings.checkpoint}")
    held = read_checkpoint(spec.path, spec.key).metadata
    if stored.class_names(held) != data.class_names:
        return False
    numbers = all(name.isdecimal() for name in data.class_names)  # which are no names
    return not numbers or stored.dataset(held) == settings.dataset


def train_mode(model: nn.Module, settings: Settings) -> None:
    """Training mode; under a classifier that is trained alone norms and dropout work as in use."""
    model.train(settings.mode != "probe")


def _freeze_all_but_classifier(model: nn.Module, name: str, classes: int) -> str:
    heads = _classifiers(model, classes)
    if not heads:
        raise InputError(f"{name} has no linear classifier of {classes} classes to probe with")
    model.requires_grad_(False)
    for head in heads:
        head.requires_grad_(True)
    return "only the classifier"


def _classifiers(model: nn.Module, classes: int) -> list[nn.Module]:
    """timm's models name theirs; elsewhere it is the last layer with as many outputs as classes."""
    if hasattr(model, "get_classifier"):
        found = model.get_classifier()
        return [
            h for h in (found if isinstance(found, tuple) else (found,)) if isinstance(h, nn.Linear)
        ]
    layers = [
        module
        for module in model.modules()
        if getattr(module, "out_features", getattr(module, "out_channels", None)) == classes
    ]
    return layers[-1:]
