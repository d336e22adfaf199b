"""A model as a checkpoint's weights say that it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from vitprobe.errors import InputError, option
from vitprobe.models import stored
from vitprobe.models.architecture import Architecture
from vitprobe.models.checkpoints import Checkpoint, read_checkpoint
from vitprobe.models.fit import drop_head, fitting, load_weights, new_head_keys
from vitprobe.models.image_sizes import LARGEST, POSITIONS, Frame, ImageSizes, resampled, sides
from vitprobe.models.outline import Outline, built, outline, outlined
from vitprobe.models.source import Source
from vitprobe.models.spec import DIGITS, Spec
from vitprobe.models.weight_sets import Wanted
from vitprobe.text import SHORT, printable

SHARED = 4  # layers, at most, that may have their weights in common


@dataclass(frozen=True)
class Asked:
    """What the caller wants of a model; None leaves it to the weights, or to the name.

    fallback_classes, fallback_size (side in pixels): only wishes.
    """

    num_classes: int | None
    size: Frame | None
    fallback_classes: int | None
    fallback_size: int | None
    new_head: bool


@dataclass(frozen=True)
class Loaded:
    """A model, how it was made, and what a reader should know: a line, and facts by name."""

    model: nn.Module
    source: Source
    num_classes: int | None
    size: Frame | None
    note: str
    checkpoint: Checkpoint | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def model_from_file(source: Source, spec: Spec, given: Architecture, asked: Asked) -> Loaded:
    """Build the model that the weights are of, and load them, bit for bit.

    given: constructor's arguments that were asked for.

    Raises InputError for a file without weights that fit, and for what contradicts them.
    """
    draft = source.draft(given)
    like = outlined(draft)
    wanted = Wanted(like.shapes, like.classifier)
    checkpoint = draft.native(read_checkpoint(spec.path, spec.key, wanted))
    source = draft.configured(given, checkpoint)
    if source is not draft:
        like = outlined(source)
    _check_numbers(source, like, checkpoint)
    classes = _classes(source, like, checkpoint, asked)
    sizes = source.sizes(checkpoint.state, like.shapes, asked.size)
    size, interpolated = _agreed_size(source, sizes, checkpoint, asked)
    if interpolated:
        state = resampled(checkpoint.state, sizes, size, source.name)
    else:
        state = checkpoint.state
    model = built(source, classes or asked.num_classes or source.default_classes, size)
    head = [name for name in like.classifier if name not in state]
    fits = any(name in state for name in like.shapes)
    headless = bool(head) and fits and not asked.new_head
    but = new_head_keys(source) if asked.new_head else like.classifier if headless else ()
    extra = load_weights(model, replace(checkpoint, state=state), source.name, but)
    if headless:
        drop_head(model, like.classifier)
        classes = 0
    left_out = grouped([*checkpoint.left_out, *extra, *(name for name in but if name in state)])
    notes = [f"trained on {DIGITS}" if spec.weights == DIGITS else f"weights of {spec.weights}"]
    notes += _of_the_weights(source, checkpoint)
    if interpolated:
        notes += [f"positions interpolated from {sides(sizes.usual)} to {sides(size)} px"]
    elif sizes is not None and sizes.guess:
        notes += [sizes.guess]
    if headless:
        notes += ["the file has no classifier: the identity stands for it"]
    if left_out:
        count = sum(left_out.values())
        notes += [f"left out {count} of its weights: {', '.join(_counted(left_out)[:4])}"]
    notes += stored.ignored(checkpoint.metadata)
    facts = {
        "weights_key": printable(checkpoint.key),
        "weights_prefix": printable(checkpoint.prefix),
        "inferred": dict(source.inferred),
        "left_out": _counted(left_out),
    }
    if classes is None:
        classes = asked.num_classes or source.default_classes
    return Loaded(model, source, classes, size, "; ".join(notes), checkpoint, facts)


def _of_the_weights(source: Source, checkpoint: Checkpoint) -> list[str]:
    """Which weights of the file were taken, and what they told."""
    notes = [f"from its {checkpoint.key}"] if checkpoint.key else []
    told = [f"{k} {v}" for k, v in source.inferred.items() if k not in source.guessed]
    if told:
        notes += [f"{', '.join(told)} as its weights say"]
    if checkpoint.alike:
        others = ", ".join(f"#{key}" for key in checkpoint.alike[:3])
        notes += [f"{checkpoint.path.name}{others} would fit as well"]
    return notes


def grouped(names: Sequence[str]) -> dict[str, int]:
    """`{"decoder_blocks.*": 96, "mask_token": 1}`: names by their first part, counted."""
    names = [printable(name, SHORT) for name in names]
    counts = Counter(name.partition(".")[0] for name in names)
    alone = {name.partition(".")[0]: name for name in names}
    return {f"{first}.*" if n > 1 else alone[first]: n for first, n in counts.items()}


def _counted(groups: Mapping[str, int]) -> list[str]:
    return [f"{name} ({count})" if count > 1 else name for name, count in groups.items()]


def _classes(source: Source, like: Outline, checkpoint: Checkpoint, asked: Asked) -> int | None:
    """The number of classes that the weights have; None where they don't tell, or need not.

    Raises InputError where another one was asked for.
    """
    state = checkpoint.state
    head = [key for key in like.classifier if key in state and state[key].ndim]
    if asked.new_head and asked.num_classes:
        return asked.num_classes
    classes = state[head[0]].shape[0] if head else None
    if None not in (classes, asked.num_classes) and classes != asked.num_classes:
        because = ", ".join(f"{key} {tuple(state[key].shape)}" for key in head)
        raise InputError(
            f"checkpoint {checkpoint.path} is a {source.name} with {classes} classes ({because}), "
            f"but {asked.num_classes} were asked for: leave that out, or use other weights"
        )
    return classes


def _agreed_size(
    source: Source, sizes: ImageSizes | None, checkpoint: Checkpoint, asked: Asked
) -> tuple[Frame | None, bool]:
    """The image size to build for, and whether the positions must be interpolated to it."""
    held = stored.image_size(checkpoint.metadata)
    size = asked.size or held or source.default_size(asked.fallback_size)
    if sizes is None or (size and sizes.fit(size)):
        return size, False
    if not asked.size:
        if max(sizes.usual) > LARGEST:
            raise InputError(
                f"checkpoint {checkpoint.path} is a {source.name} for images of "
                f"{sides(sizes.usual)} px ({sizes.because}), and above {LARGEST:,} px that must be "
                f"asked for: {option('image_size', max(sizes.usual))}, or a smaller one"
            )
        return sizes.usual, False
    if not sizes.key:
        raise InputError(
            f"checkpoint {checkpoint.path} is a {source.name} for images of {sizes.span} px "
            f"({sizes.because}), but {sides(size)} px were asked for: use {sides(sizes.usual)}, or "
            "other weights"
        )
    return size, True


def _check_numbers(source: Source, like: Outline, checkpoint: Checkpoint) -> None:
    """Raise InputError where the model would have far more weights than the file has numbers.

    Those of the classifier and the positions, which are made anew for other sizes, do not count.
    """
    free = (*POSITIONS, *like.classifier)
    wanted = sum(s.numel() for name, s in like.shapes.items() if not name.endswith(free))
    if wanted > SHARED * checkpoint.numbers:
        empty = outline(source, 2, source.default_size(None))
        fits = any(name in checkpoint.state for name in like.shapes)
        apart = [name for name in like.shapes if name.endswith(free)] if fits else []
        fitting(empty, checkpoint, source.name, apart)  # raises where names or shapes differ
        raise InputError(
            f"checkpoint {checkpoint.path} does not fit {source.name}: the model has {wanted:,} "
            f"weights and the file {checkpoint.numbers:,} numbers: name the model they belong to"
        )
