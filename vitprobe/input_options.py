"""What can be said of images, and of how they run through models: one set for every analysis.

`vitprobe.cka` and `vitprobe cka` take the same options, with the same words for help.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import Field, dataclass, field, fields
from functools import wraps
from types import MappingProxyType
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

from vitprobe.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

IMAGES, RUN = "Images", "Run"
PRECISIONS = ("fp32", "bf16")
SAVE_EVERY = 60.0  # seconds between two saves of what a run has so far
PLACE = "    {inputs}\n"  # where a docstring has the words of these options


def _told(default: Any, panel: str, help: str, in_python: str = "") -> Any:
    """A field with its help; in_python: what a function's docstring adds to it."""
    return field(default=default, metadata={"panel": panel, "help": help, "in_python": in_python})


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How models are shown images. The texts are those of `--help` and of the docstrings.

    Raises:
        InputError: a value that makes no sense, whatever models and data are.
    """

    split: str = _told("test", IMAGES, "train or test.", "Of a data set's name.")
    data_dir: str | None = _told(
        None, IMAGES, "Where data sets are downloaded to on first use.", "Of a data set's name."
    )
    order: str = _told(
        "seeded",
        IMAGES,
        "seeded: one permutation, the same for all models; file: as stored.",
        "Tensors, DataLoaders and streams keep their own.",
    )
    examples: int | None = _told(None, IMAGES, "Use the first N of the order (default: all).", "")
    image_size: int | None = _told(
        None,
        IMAGES,
        "Pixels, for every model (default: the checkpoint's, the model's, else the data's).",
    )
    mean: Sequence[float] | float | None = _told(
        None,
        IMAGES,
        "R,G,B to normalise with, in 0..1, for every model (default: the checkpoint's, the "
        "model's, else the data's).",
        "Not of tensors, which are taken as they are.",
    )
    std: Sequence[float] | float | None = _told(
        None, IMAGES, "The same for the standard deviation."
    )
    skip_bad_images: bool = _told(False, IMAGES, "Go on without images that cannot be read.")
    max_pixels: int | None = _told(
        None,
        IMAGES,
        "Refuse images of more pixels (default: 64 million).",
        "Of a data set's name.",
    )
    ignore_orientation: bool = _told(
        False,
        IMAGES,
        "Keep images as they are stored, whatever EXIF says of how the camera was held.",
        "Of a data set's name.",
    )
    batch_size: int | None = _told(
        None, RUN, "Images a batch (default: an eighth of the examples, from 32 to 256)."
    )
    device: Any = _told(
        "auto",
        RUN,
        "auto, cpu, cuda, cuda:N or mps.",
        "auto, None: that of a given module, else CUDA where there is one.",
    )
    precision: str = _told("fp32", RUN, "fp32, or bf16: the forward pass under autocast.")
    workers: int = _told(0, RUN, "Processes that read images.")
    seed: int = _told(0, RUN, "Of random weights and of the order.")

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise InputError(f"unknown precision {self.precision!r}: use fp32 or bf16")
        if self.batch_size is not None and self.batch_size < 4:
            raise InputError(
                f"a batch of {self.batch_size} is too small: the estimators need at least 4"
            )
        for name in ("mean", "std"):
            value = getattr(self, name)
            if isinstance(value, int | float):
                object.__setattr__(self, name, (float(value),) * 3)

    def changed(self, *names: str) -> list[str]:
        """Those of the names that have another value than by default."""
        standard = {each.name: each.default for each in fields(self)}
        return [name for name in names if getattr(self, name) != standard[name]]


class PictureOptions(TypedDict, total=False):
    """Those of InputOptions for chosen images, one by one, as keyword arguments of a function."""

    split: str
    data_dir: str | None
    image_size: int | None
    mean: Sequence[float] | float | None
    std: Sequence[float] | float | None
    max_pixels: int | None
    ignore_orientation: bool
    device: Any
    precision: str
    seed: int


class ImageOptions(PictureOptions, total=False):
    """All of InputOptions, as keyword arguments of a function: for type checkers and editors."""

    order: str
    examples: int | None
    skip_bad_images: bool
    batch_size: int | None
    workers: int


class StoredOptions(TypedDict, total=False):
    """Those of InputOptions for activations that are there already."""

    order: str
    examples: int | None
    batch_size: int | None
    device: Any
    seed: int


SINGLE_IMAGES = tuple(PictureOptions.__annotations__)


def takes_inputs(
    *,
    only: Sequence[str] | None = None,
    annotate: Callable[[Field], Any] | None = None,
    made: Callable[..., InputOptions] = InputOptions,
    usual: Mapping[str, str] | None = None,
    **defaults: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Gives a function the options of InputOptions where its signature has `inputs`.

    They are in its signature, and in its docstring in the place of `{inputs}`. A function with
    `**inputs: Unpack[ImageOptions]` gets their values, and type checkers see them; one with a
    keyword argument `inputs` gets the InputOptions that `made` makes of them.

    only: those that make sense for it; None: all. annotate: of a field, its annotation in the
    signature.
    usual: of fields that are None by default, what the function makes of that, in a few words.
    defaults: where they differ from those of InputOptions.
    """
    told = [
        _with_default(each, defaults, usual or {})
        for each in fields(InputOptions)
        if only is None or each.name in only
    ]

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        def parameter(each: Field) -> inspect.Parameter:
            return inspect.Parameter(
                each.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=each.default,
                annotation=annotate(each) if annotate else each.type,
            )

        parameters = []
        spread = False
        for own in inspect.signature(function).parameters.values():
            if own.name == "inputs":
                spread = own.kind is own.VAR_KEYWORD
                parameters += [parameter(each) for each in told if each.metadata["panel"] == IMAGES]
            else:
                parameters.append(own)
        # what is said of the run comes last, as in --help
        parameters += [parameter(each) for each in told if each.metadata["panel"] == RUN]
        signature = inspect.Signature(parameters)

        @wraps(function)
        def with_inputs(*args: Any, **given: Any) -> R:
            unknown = next((name for name in given if name not in signature.parameters), None)
            if unknown:
                raise TypeError(f"{function.__name__}() has no argument {unknown!r}")
            shown = {each.name: given.pop(each.name) for each in told if each.name in given}
            values = defaults | shown
            return function(*args, **given, **(values if spread else {"inputs": made(**values)}))

        with_inputs.__signature__ = signature  # type: ignore[attr-defined]
        with_inputs.__doc__ = _filled(function.__doc__, told)
        return cast(Callable[P, R], with_inputs)

    return decorate


def _with_default(told: Field, defaults: Mapping[str, Any], usual: Mapping[str, str]) -> Field:
    """The field, or where its default is another one, or is said to be, a copy that tells of it."""
    if told.name not in {**defaults, **usual}:
        return told
    own = copy(told)
    own.default = defaults.get(told.name, told.default)
    said = f" (default: {usual[told.name]})" if told.name in usual else ""
    words = re.sub(r" \(default: [^)]*\)", said, told.metadata["help"])
    own.metadata = MappingProxyType({**told.metadata, "help": words})
    return own


def _filled(doc: str | None, told: Sequence[Field]) -> str | None:
    """The docstring with a paragraph for each option where it has the line `{inputs}`."""
    if doc is None or PLACE not in doc:
        return doc
    lines = []
    for each in told:
        words = each.metadata["help"]
        if words[1:2].islower():
            words = words[0].lower() + words[1:]
        text = f"{each.name}: {' '.join(filter(None, (words, each.metadata['in_python'])))}"
        lines.append(textwrap.fill(text, 100, initial_indent=" " * 8, subsequent_indent=" " * 12))
    return doc.replace("    " + PLACE, "\n".join(lines) + "\n")


def data_options(options: InputOptions) -> Mapping[str, Any]:
    """What `load_data` takes of them."""
    names = ("split", "data_dir", "max_pixels", "ignore_orientation")
    return {name: getattr(options, name) for name in names}
