"""Commands that look at single images: how these are named, and a figure of each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions

Image = Annotated[
    str | None,
    typer.Option(
        help="An image file, or a folder of images.",
        rich_help_panel=options.IMAGES,
        metavar="FILE",
        show_default=False,
    ),
]
Index = Annotated[
    int | None,
    typer.Option(
        help="The N-th image of --dataset, counted from 0 in stored order.",
        rich_help_panel=options.IMAGES,
        metavar="N",
        show_default=False,
    ),
]


def check_named(model: str, image: str | None, index: int | None) -> None:
    """Raises InputError unless it is one model, and the images are given in one of the two ways."""
    from vitprobe.models.spec import split_specs

    several, weights = len(split_specs(model)), model.partition("@")[2]
    if several > 1 and not (weights and Path(weights).expanduser().exists()):
        raise InputError(f"--model takes one model, not {several}: {model}")
    if (image is None) == (index is None):
        raise InputError("give the image: either --image FILE (or a folder) or --index N")


def named_images(image: str | None, dataset: str, inputs: InputOptions) -> tuple[Any, InputOptions]:
    """What the images are taken from, and the options that are left to apply to it."""
    if image is None:
        return dataset, inputs
    from vitprobe.data import image_files

    how = {key: getattr(inputs, key) for key in ("max_pixels", "ignore_orientation")}
    return image_files(image, **how), replace(inputs, max_pixels=None, ignore_orientation=False)


def of_each(labels: Sequence[str], figure: Callable) -> tuple[dict[str, Callable], list[str]]:
    """Suffix -> what writes the figure of one image, and what of the images is in the files' names.

    labels: of the images. figure: of a result and the place of an image in it.
    """
    from vitprobe.figures import png_bytes
    from vitprobe.file_names import distinct, file_word

    words = distinct([file_word(f"image-{label}") for label in labels])
    writers = {}
    for place, word in enumerate(words):
        suffix = ".png" if len(words) == 1 else f"-{word}.png"
        writers[suffix] = lambda result, place=place: png_bytes(figure(result, place))
    return writers, words if len(words) == 1 else []


def unless(absent: str, draw: Callable) -> Callable:
    """Writes what `draw` draws, or nothing where the result has the attribute `absent`: it says
    why."""
    return partial(_drawn, absent, draw)


def _drawn(absent: str, draw: Callable, result) -> bytes | None:
    from vitprobe.figures import png_bytes

    return None if result.attrs.get(absent) else png_bytes(draw(result))
