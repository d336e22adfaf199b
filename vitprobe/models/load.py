"""From a model spec to a model that is ready to look at images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.architecture import given_options
from vitprobe.models.checkpoints import Checkpoint, read_checkpoint
from vitprobe.models.described import described
from vitprobe.models.fit import (
    built,
    classes_and_sizes,
    load_weights,
    new_head_keys,
    replace_head,
)
from vitprobe.models.from_user import UserSource
from vitprobe.models.names import find_source
from vitprobe.models.source import Frame, Source, brief
from vitprobe.models.spec import PRETRAINED, RANDOM, parse_spec


def load_model(
    spec: str, *, num_classes: int | None = None, image_size: int | None = None, seed: int = 0
) -> nn.Module:
    """`NAME[@WEIGHTS]` -> model in eval mode on the CPU.

    spec: NAME is `vit`, `vit-zhu2023`, `vit-small-data`, `resnet18/34/50/101`,
        `resnet20/32/44/56`, `lambda_resnet26/38/50`, `mini-vit`, `base-vit`, `vit-l32`, any timm
        name, `torchvision:NAME` or `package.module:callable`. WEIGHTS is `random` (also without
        `@`), `pretrained` or a checkpoint file.
    num_classes: None takes the checkpoint's, else 10 for our own names and the library's for
        others. Pretrained weights keep their own classifier.
    image_size: side in pixels; None takes the checkpoint's, else 32 for our own names and the
        configuration's for others.
    seed: of random weights; torch's own random state is left as it was.

    The model has two attributes more: `transform` (vitprobe.data.Transform; mean and std are None
    where the data set's are to be used) and `provenance`, a dict of spec, name, weights,
    weights_sha256 (of the file, or of the weights themselves), parameters, num_classes (0: none,
    or unknown), image_size (pixels; 0: any), architecture (a dict of the options of our own ViTs,
    else {}) and note (a line for the reader).

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
    architecture: Mapping[str, int | float | str] | None = None,
    new_head: bool = False,
) -> nn.Module:
    """`load_model` for an analysis or for training.

    fallback_image_size: the data set's, only a wish: it is used for our own names where neither
        `image_size` nor the checkpoint says otherwise.
    architecture: for `vit`, `vit-zhu2023` and `vit-small-data` any of patch_size (pixels), dim,
        heads, depth, mlp_dim, dropout and pool ("cls" or "mean"); None values count as not given.
        A checkpoint tells its own (heads, if it can't, by `guessed_heads`; dropout is free).
    new_head: the classifier of a checkpoint or of pretrained weights is drawn anew, for
        `num_classes` if it is given; all other weights are loaded.

    Raises InputError also for options that the model does not have, or that contradict the
    checkpoint, and for a new head where no weights are known to be the classifier's.
    """
    _check_positive(num_classes=num_classes, image_size=image_size)
    given = given_options(architecture)
    parsed = parse_spec(spec)
    source = find_source(parsed.name)
    size = None if image_size is None else (image_size, image_size)
    if not source.takes_classes:
        num_classes = None
    checkpoint = None
    with _random_stream(seed, source.name):
        if parsed.weights == PRETRAINED:
            source = source.for_pretrained().configured(given, None)
            model, note = _pretrained(source, size)
            num_classes = (new_head and num_classes) or source.default_classes
            if new_head:
                replace_head(model, built(source, num_classes, size), new_head_keys(source))
            size = size or source.default_size(fallback_image_size)
        elif parsed.weights == RANDOM:
            source = source.configured(given, None)
            size = size or source.default_size(fallback_image_size)
            num_classes = num_classes or source.default_classes
            model = built(source, num_classes, size)
            note = _random_note(source, seed)
        else:
            checkpoint = source.native(read_checkpoint(parsed.path))
            source = source.configured(given, checkpoint)
            num_classes, size = _agreed(
                source, checkpoint, num_classes, size, fallback_image_size, new_head
            )
            model = built(source, num_classes, size)
            but = new_head_keys(source) if new_head else ()
            load_weights(model, checkpoint, source.name, but)
            note = f"{source.name}: weights of {parsed.path}"
    if new_head and parsed.weights != RANDOM:
        note += f", but a new classifier (seed {seed})"
    elif parsed.weights == PRETRAINED:
        has_head = getattr(model, "num_classes", None) != 0
        note += f" {'with their own' if has_head else 'without a'} classifier"
    note += f"; {source.remark}" if source.remark else ""
    model.eval()
    return described(model, parsed, source, checkpoint, num_classes, size, note)


def _agreed(
    source: Source,
    checkpoint: Checkpoint,
    num_classes: int | None,
    size: Frame | None,
    fallback: int | None,
    new_head: bool,
) -> tuple[int | None, Frame | None]:
    """Class count and image size on which the caller and the checkpoint agree, or InputError."""
    classes, head, sizes = classes_and_sizes(source, checkpoint)
    if not new_head and None not in (classes, num_classes) and classes != num_classes:
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
    size = size or _stored_size(checkpoint) or source.default_size(fallback)
    if sizes and not (size and sizes.low <= size[0] <= sizes.high):
        size = (sizes.usual, sizes.usual)
    if new_head and num_classes:
        return num_classes, size
    return classes or num_classes or source.default_classes, size


def _stored_size(checkpoint: Checkpoint) -> Frame | None:
    """The images that our own training showed, in pixels, where the file says so."""
    held = checkpoint.metadata.get("image_size")
    whole = isinstance(held, list) and len(held) == 2
    return tuple(held) if whole and all(type(side) is int and side > 0 for side in held) else None


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
    return model, f"{source.name}: pretrained weights ({weights})"


def _random_note(source: Source, seed: int) -> str:
    if isinstance(source, UserSource):
        return f"{source.name}: weights as it sets them itself (seed {seed})"
    try:
        source.for_pretrained()
        others = f"{source.name}@pretrained or {source.name}@FILE"
    except InputError:
        others = f"{source.name}@FILE"
    return f"{source.name}: random weights (seed {seed}); for trained ones use {others}"


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
