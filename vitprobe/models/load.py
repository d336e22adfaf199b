"""From a model spec to a model that is ready to look at images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError
from vitprobe.models.checkpoints import Checkpoint, read_checkpoint, state_sha256
from vitprobe.models.fit import built, classes_and_sizes, load_weights
from vitprobe.models.from_user import UserSource
from vitprobe.models.names import find_source
from vitprobe.models.source import Frame, Source, brief
from vitprobe.models.spec import PRETRAINED, RANDOM, Spec, parse_spec


def load_model(
    spec: str, *, num_classes: int | None = None, image_size: int | None = None, seed: int = 0
) -> nn.Module:
    """`NAME[@WEIGHTS]` -> model in eval mode on the CPU.

    spec: NAME is `vit`, `resnet18/34/50/101`, `resnet20/32/44/56`, `mini-vit`, `base-vit`,
        `vit-l32`, any timm name, `torchvision:NAME` or `package.module:callable`. WEIGHTS is
        `random` (also without `@`), `pretrained` or a checkpoint file.
    num_classes: None takes the checkpoint's, else 10 for our own names and the library's for
        others. Pretrained weights keep their own classifier.
    image_size: side in pixels; None takes the checkpoint's, else 32 for our own names and the
        configuration's for others.
    seed: of random weights; torch's own random state is left as it was.

    The model has two attributes more: `transform` (vitprobe.data.Transform; mean and std are None
    where the data set's are to be used) and `provenance`, a dict of spec, name, weights,
    weights_sha256 (of the file, or of the weights themselves), parameters, num_classes (0: none,
    or unknown), image_size (pixels; 0: any) and note (a line for the reader).

    Raises InputError for an unknown name, weights that can't be had, read or fitted, and a class
    count or image size that contradicts the checkpoint.
    """
    return build_model(spec, num_classes=num_classes, image_size=image_size, seed=seed)


def build_model(
    spec: str,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    fallback_image_size: int | None = None,
    seed: int = 0,
) -> nn.Module:
    """`load_model` for an analysis: `fallback_image_size` is the data set's, only a wish.

    It is used for our own names where neither `image_size` nor the checkpoint says otherwise.
    """
    _check_positive(num_classes=num_classes, image_size=image_size)
    parsed = parse_spec(spec)
    source = find_source(parsed.name)
    size = None if image_size is None else (image_size, image_size)
    if not source.takes_classes:
        num_classes = None
    checkpoint = None
    with _random_stream(seed, source.name):
        if parsed.weights == PRETRAINED:
            source = source.for_pretrained()
            model, note = _pretrained(source, size)
            size = size or source.default_size(fallback_image_size)
            num_classes = source.default_classes
        elif parsed.weights == RANDOM:
            size = size or source.default_size(fallback_image_size)
            num_classes = num_classes or source.default_classes
            model = built(source, num_classes, size)
            note = _random_note(source, seed)
        else:
            checkpoint = read_checkpoint(parsed.path)
            num_classes, size = _agreed(source, checkpoint, num_classes, size, fallback_image_size)
            model = built(source, num_classes, size)
            load_weights(model, checkpoint, source.name)
            note = f"{source.name}: weights of {parsed.path}"
    model.eval()
    return _described(model, parsed, source, checkpoint, num_classes, size, note)


def _agreed(
    source: Source,
    checkpoint: Checkpoint,
    num_classes: int | None,
    size: Frame | None,
    fallback: int | None,
) -> tuple[int | None, Frame | None]:
    """Class count and image size on which the caller and the checkpoint agree, or InputError."""
    classes, head, sizes = classes_and_sizes(source, checkpoint)
    if None not in (classes, num_classes) and classes != num_classes:
        raise InputError(
            f"checkpoint {checkpoint.path} is a {source.name} with {classes} classes ({head}), "
            f"but {num_classes} were asked for: use data with {classes} classes, or other weights"
        )
    if size and sizes and not sizes.low <= size[0] <= sizes.high:
        span = str(sizes.low)
        if sizes.high != sizes.low:
            span = f"{sizes.low} or more" if sizes.low > 1 else f"at most {sizes.high}"
        raise InputError(
            f"checkpoint {checkpoint.path} is a {source.name} for images of {span} px "
            f"({sizes.because}), but {size[0]} px were asked for: use {sizes.usual}, or other "
            f"weights"
        )
    size = size or source.default_size(fallback)
    if sizes and not (size and sizes.low <= size[0] <= sizes.high):
        size = (sizes.usual, sizes.usual)
    return classes or num_classes or source.default_classes, size


def _pretrained(source: Source, size: Frame | None) -> tuple[nn.Module, str]:
    try:
        model, weights = source.build_pretrained(size)
    except InputError:
        raise
    except Exception as error:  # the hubs' clients raise anything
        raise InputError(
            f"could not get the pretrained weights of {source.name} ({brief(error)}): without a "
            f"network use {source.name}@random or {source.name}@FILE"
        ) from error
    head = "with their own" if getattr(model, "num_classes", None) != 0 else "without a"
    return model, f"{source.name}: pretrained weights ({weights}) {head} classifier"


def _random_note(source: Source, seed: int) -> str:
    if isinstance(source, UserSource):
        return f"{source.name}: weights as it sets them itself (seed {seed})"
    try:
        source.for_pretrained()
        others = f"{source.name}@pretrained or {source.name}@FILE"
    except InputError:
        others = f"{source.name}@FILE"
    return f"{source.name}: random weights (seed {seed}); for trained ones use {others}"


def _described(
    model: nn.Module,
    spec: Spec,
    source: Source,
    checkpoint: Checkpoint | None,
    num_classes: int | None,
    size: Frame | None,
    note: str,
) -> nn.Module:
    """The model with its `transform` and `provenance`."""
    for taken in ("transform", "provenance"):
        if hasattr(model, taken):
            raise InputError(f"{source.name} has an attribute {taken!r} of its own: rename it")
    transform: Transform = source.transform(size)
    if checkpoint is not None and checkpoint.normalization:
        mean, std = checkpoint.normalization
        transform = replace(transform, mean=mean, std=std)
    if num_classes is None:
        own = getattr(model, "num_classes", 0)
        num_classes = own if isinstance(own, int) else 0
    square = size is None or size[0] == size[1]
    model.transform = transform
    model.provenance = {
        "spec": f"{spec.name}@{spec.weights}",
        "name": source.name,
        "weights": spec.weights,
        "weights_sha256": checkpoint.sha256 if checkpoint else state_sha256(model.state_dict()),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "num_classes": num_classes,
        "image_size": (size[0] if size else 0) if square else f"{size[0]} x {size[1]}",
        "note": note,
    }
    return model


def _check_positive(**numbers: int | None) -> None:
    for name, value in numbers.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")


@contextmanager
def _random_stream(seed: int, name: str) -> Iterator[None]:
    """Random numbers of this seed and name on the CPU; torch's own state comes back after it."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # torch.manual_seed would seed the GPUs' generators too, which are not forked here
        torch.default_generator.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        yield
