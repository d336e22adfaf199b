"""From a model spec to a model that is ready to look at images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError, brief
from vitprobe.models import stored
from vitprobe.models.architecture import given_options, refuse_options
from vitprobe.models.checkpoints import Checkpoint, state_sha256
from vitprobe.models.described import described
from vitprobe.models.fit import drop_head, new_head_keys, replace_head
from vitprobe.models.from_file import Asked, Loaded, model_from_file
from vitprobe.models.from_user import UserSource
from vitprobe.models.image_sizes import POSITIONS, Frame, sides
from vitprobe.models.names import find_source
from vitprobe.models.outline import built, outlined
from vitprobe.models.source import Source
from vitprobe.models.spec import PRETRAINED, RANDOM, parse_spec
from vitprobe.models.without_skip import ARGUMENT, checked_block, remove_skip

SIZE_ARGUMENTS = ("image_size", "img_size")
FRAME = (224, 224)  # images on which a model that takes any size is tried


def load_model(
    spec: str, *, num_classes: int | None = None, image_size: int | None = None, seed: int = 0
) -> nn.Module:
    """`NAME[(ARG=LITERAL, ...)][@WEIGHTS[#KEY]]` -> model in eval mode on the CPU.

    spec: NAME is `vit`, `vit-zhu2023`, `vit-small-data`, `resnet18/34/50/101`,
        `resnet20/32/44/56`, `lambda_resnet26/38/50`, `mini-vit`, `base-vit`, `vit-l32`, any timm
        name (also `hf-hub:REPOSITORY` and `local-dir:FOLDER`), `hf:REPOSITORY_OR_FOLDER`
        (transformers), `torchvision:NAME` or `package.module:callable`; ARG=LITERAL are arguments
        of its constructor; `remove_skip=I` takes the skips of block I out (see
        `models.without_skip`). WEIGHTS is `random` (also without `@`), `pretrained`, `digits` (ship
        for `vit` and `resnet20`) or a checkpoint file, in which KEY chooses among several sets.
    num_classes: None takes the checkpoint's, else 10 for our own names and the library's for
        others. Pretrained weights keep their own classifier.
    image_size: side in pixels; None takes the checkpoint's, else 32 for our own names and the
        configuration's for others. Another one than the checkpoint's interpolates the positional
        embedding, and is an error where there is none that grows with the image.
    seed: of random weights; torch's own random state is left as it was.

    A checkpoint's weights decide what the model is: patch size, width, depth, channels, registers,
    class token. What they lack of the classifier is the identity.

    The model has two attributes more: `transform` (vitprobe.data.Transform; mean and std are None
    where the data set's are to be used) and `provenance`, a dict of spec, name, weights (`random`,
    `pretrained`, `digits`, a file, or `as given by package.module:callable`),
    weights_sha256 (of the file, or of the weights themselves), state_sha256 (of the weights as they
    were loaded), weights_key and weights_prefix (where in the file), parameters, num_classes (0:
    none, or unknown), image_size (pixels; 0: any), architecture (a dict of the options of our own
    ViTs, else {}), inferred (arguments that the weights told), left_out (what of the file was not
    used), revision (of a hub) and note (a line for the reader).

    Raises InputError for an unknown name, weights that can't be had, read or fitted, and a class
    count or image size that contradicts the checkpoint.
    """
    model = build_model(spec, num_classes=num_classes, image_size=image_size, seed=seed)
    told = cast(dict[str, Any], model.provenance)
    # whether it still has these weights when it is handed over: see given.py
    told["state_sha256"] = state_sha256(model.state_dict())
    return model


def build_model(
    spec: str,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    fallback_classes: int | None = None,
    fallback_image_size: int | None = None,
    seed: int = 0,
    architecture: Mapping[str, int | float | str] | None = None,
    new_head: bool = False,
    without_skip: int | None = None,
) -> nn.Module:
    """`load_model` for an analysis or for training.

    fallback_classes, fallback_image_size: the data set's, only wishes: they are used where neither
        an argument nor the weights say otherwise, the size for our own names only.
    architecture: for `vit`, `vit-zhu2023` and `vit-small-data` any of patch_size (pixels), dim,
        heads, depth, mlp_dim, dropout and pool ("cls" or "mean"); None values count as not given.
        A checkpoint tells its own (heads, if it can't, by `guessed_heads`; dropout is free).
    new_head: the classifier of a checkpoint or of pretrained weights is drawn anew, for
        `num_classes` if it is given; all other weights are loaded.
    without_skip: the block whose skips are taken out, counted from 0; of a checkpoint of such a
        model they are in any case.

    Raises InputError also for options that the model does not have, or that contradict the
    checkpoint, and for a new head where no weights are known to be the classifier's.
    """
    parsed = parse_spec(spec)
    arguments = dict(parsed.arguments)
    source = find_source(parsed.name, arguments.pop("revision", None))
    if not isinstance(source, UserSource):  # whose arguments are their own
        without_skip = _said_once(ARGUMENT, without_skip, arguments.pop(ARGUMENT, None))
    without_skip = checked_block(without_skip)
    given = given_options(architecture)
    if not source.has_options:
        refuse_options(source.name, given)
    size = _size(image_size, arguments)
    headless = arguments.get("num_classes") == 0
    classes = _said_once("num_classes", num_classes, arguments.pop("num_classes", None) or None)
    _check_positive(num_classes=classes)
    if not source.takes_classes and "num_classes" in parsed.arguments:
        arguments["num_classes"] = classes  # to be refused like any other argument
    asked = Asked(
        classes if source.takes_classes else None,
        size,
        fallback_classes if source.takes_classes else None,
        fallback_image_size,
        new_head,
    )
    given |= arguments
    with _random_stream(seed, source.name):
        if parsed.weights == PRETRAINED:
            if "num_classes" in parsed.arguments and not (new_head or headless):
                raise InputError(
                    f"the pretrained weights of {source.name} have their own classifier: leave "
                    "num_classes out"
                )
            loaded = _of_pretrained(source.for_pretrained().configured(given, None), asked)
        elif parsed.weights == RANDOM:
            loaded = _of_random(source.configured(given, None), asked, seed)
        else:
            loaded = model_from_file(source, parsed, given, asked)
    model, source, note = loaded.model, loaded.source, loaded.note
    num_classes = loaded.num_classes
    if new_head and parsed.weights != RANDOM:
        note += f", but a new classifier (seed {seed})"
    if headless:
        drop_head(model, outlined(source).classifier)
        num_classes, note = 0, f"{note}; no classifier, as asked for"
    note = "; ".join(filter(None, (f"{source.name}: {note}", source.remark)))
    model.eval()
    model = described(replace(loaded, note=note, num_classes=num_classes), parsed)
    if loaded.checkpoint is not None:
        without_skip = _agreed_block(loaded.checkpoint, without_skip)
    return model if without_skip is None else _without(model, without_skip)


def _agreed_block(checkpoint: Checkpoint, asked: int | None) -> int | None:
    """The block whose skips the weights were trained without, or are to be used without."""
    told = stored.removed_skip(checkpoint.metadata)
    if None not in (told, asked) and told != asked:
        raise InputError(
            f"checkpoint {checkpoint.path} was trained without the skips of block {told}, but "
            f"{ARGUMENT} {asked} was asked for: leave it out, or use other weights"
        )
    return asked if told is None else told


def _without(model: nn.Module, block: int) -> nn.Module:
    """The model, described already, without the skips of that block."""
    transform = cast(Transform, model.transform)
    channels, size = transform.channels, transform.image_size or FRAME
    path = remove_skip(model, block, torch.zeros(2, channels, *size))
    told = cast(dict[str, Any], model.provenance)
    told["architecture"] = {**told["architecture"], ARGUMENT: block}
    told["note"] = f"{told['note']}; without the skips of block {block} ({path})"
    return model


def _of_pretrained(source: Source, asked: Asked) -> Loaded:
    try:
        model, weights = source.build_pretrained(asked.size)
    except InputError:
        raise
    except Exception as error:  # the hubs' clients raise anything
        raise InputError(
            f"could not get the pretrained weights of {source.name} ({brief(error)}): without a "
            f"network use {source.name}@random or {source.name}@FILE"
        ) from error
    note, usual = f"pretrained weights ({weights})", source.default_size(None)
    grows = any(name.endswith(POSITIONS) for name in model.state_dict())
    if asked.size and usual and asked.size != usual and grows:
        note += f", positions interpolated from {sides(usual)} to {sides(asked.size)} px"
    num_classes = (asked.new_head and asked.num_classes) or source.default_classes
    if asked.new_head:
        replace_head(model, built(source, num_classes, asked.size), new_head_keys(source))
    else:
        has_head = source.has_classifier and getattr(model, "num_classes", None) != 0
        note += f", {'with their own' if has_head else 'without a'} classifier"
    size = asked.size or source.default_size(asked.fallback_size)
    return Loaded(model, source, num_classes, size, note)


def _of_random(source: Source, asked: Asked, seed: int) -> Loaded:
    size = asked.size or source.default_size(asked.fallback_size)
    classes = asked.num_classes or asked.fallback_classes or source.default_classes
    model = built(source, classes, size)
    if isinstance(source, UserSource):
        return Loaded(model, source, classes, size, f"weights as it gives them (seed {seed})")
    try:
        source.for_pretrained()
        others = f"{source.name}@pretrained or {source.name}@FILE"
    except InputError:
        others = f"{source.name}@FILE"
    note = f"random weights (seed {seed}); for trained ones use {others}"
    return Loaded(model, source, classes, size, note)


def _size(image_size: int | None, arguments: dict[str, Any]) -> Frame | None:
    """The image size that was asked for, (height, width): as an option or in the spec."""
    _check_positive(image_size=image_size)
    asked = image_size
    for key in SIZE_ARGUMENTS:
        value = arguments.pop(key, None)
        pair = value if isinstance(value, tuple | list) else (value, value)
        if value is not None and len(pair) != 2:
            raise InputError(f"{key} is one or two numbers of pixels, got {value!r}")
        for side in pair if value is not None else ():
            _check_positive(**{key: side})
        asked = _said_once(key, asked, value)
    if asked is None:
        return None
    return tuple(asked) if isinstance(asked, tuple | list) else (asked, asked)


def _said_once(name: str, option: Any, argument: Any) -> Any:
    if None not in (option, argument) and option != argument:
        raise InputError(f"{name} is {argument!r} in the model spec, but {option!r} was asked for")
    return argument if option is None else option


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
