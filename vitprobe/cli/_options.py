"""Options that several commands share, and how their texts become values."""

from typing import Annotated

import typer

from vitprobe.errors import InputError

_DATA, _RUN = "Images", "Run"

Dataset = Annotated[
    str,
    typer.Option(
        help="digits (embedded), cifar10, cifar100, svhn, mnist, fashionmnist, imagefolder:PATH, "
        "zip:PATH, npz:PATH, wds:PATTERN (WebDataset shards) or hfds:NAME_OR_FOLDER (Hugging "
        "Face's datasets).",
        rich_help_panel=_DATA,
    ),
]
Split = Annotated[str, typer.Option(help="train or test.", rich_help_panel=_DATA)]
DataDir = Annotated[
    str | None,
    typer.Option(
        help="Where data sets are downloaded to on first use.",
        rich_help_panel=_DATA,
        show_default=False,
    ),
]
Order = Annotated[
    str,
    typer.Option(
        help="seeded: one permutation, the same for all models; file: as stored.",
        rich_help_panel=_DATA,
    ),
]
Examples = Annotated[
    int | None,
    typer.Option(
        help="Use the first N of the order (default: all).",
        rich_help_panel=_DATA,
        metavar="N",
        show_default=False,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Pixels, for every model (default: the checkpoint's, the model's, else the data's).",
        rich_help_panel=_DATA,
        show_default=False,
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="R,G,B to normalise with, in 0..1, for every model.",
        rich_help_panel=_DATA,
        metavar="R,G,B",
        show_default=False,
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        help="The same for the standard deviation.",
        rich_help_panel=_DATA,
        metavar="R,G,B",
        show_default=False,
    ),
]
SkipBadImages = Annotated[
    bool,
    typer.Option(
        "--skip-bad-images", help="Go on without images that cannot be read.", rich_help_panel=_DATA
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Refuse images of more pixels (default: 64 million).",
        rich_help_panel=_DATA,
        metavar="N",
        min=1,
        show_default=False,
    ),
]
IgnoreOrientation = Annotated[
    bool,
    typer.Option(
        "--ignore-orientation",
        help="Keep images as they are stored, whatever EXIF says of how the camera was held.",
        rich_help_panel=_DATA,
    ),
]
Workers = Annotated[
    int, typer.Option(help="Processes that read images.", rich_help_panel=_RUN, min=0)
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Images a batch (default: an eighth of the examples, from 32 to 256).",
        rich_help_panel=_RUN,
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_RUN)]
Precision = Annotated[
    str, typer.Option(help="fp32, or bf16: the forward pass under autocast.", rich_help_panel=_RUN)
]
DeferBytes = Annotated[
    int | None,
    typer.Option(
        help="Bytes of activations that may be held to be reduced many at once, where "
        "VITPROBE_SCHEDULE is grouped or overlapped (default: 1/32 of a GPU's memory).",
        rich_help_panel=_RUN,
        metavar="N",
        min=0,
        show_default=False,
    ),
]
Seed = Annotated[
    int, typer.Option(help="Of random weights and of the order.", rich_help_panel=_RUN)
]
Output = Annotated[
    str,
    typer.Option(help="Folder that the files are written to.", rich_help_panel=_RUN, metavar="DIR"),
]


def channels(option: str, text: str | None) -> tuple[float, float, float] | None:
    """`"0.5,0.5,0.5"` -> three floats; one number stands for all three channels.

    Raises:
        InputError: not one or three numbers.
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise InputError(f"{option} takes three numbers such as 0.5,0.5,0.5, not {text!r}")
    return values * 3 if len(values) == 1 else values


def names(option: str, text: str) -> list[str]:
    """A comma-separated list; empty parts are an error."""
    return _whole(option, text, [part.strip() for part in text.split(",")])


def specs(option: str, text: str) -> list[str]:
    """Model specs with commas between them; a spec's arguments may hold others."""
    from vitprobe.models.spec import split_specs

    return _whole(option, text, split_specs(text))


def _whole(option: str, text: str, parts: list[str]) -> list[str]:
    if not all(parts):
        raise InputError(f"{option} has an empty name in {text!r}")
    return parts


def sides(option: str, text: str | None, *, least: int) -> tuple[int, int] | None:
    """`"8x6"` -> (8, 6), and where `least` is 1 also `"8"` -> (8, 8).

    Raises:
        InputError: not so many positive whole numbers.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.strip().isdecimal() and int(part) for part in parts) or not (
        least <= len(parts) <= 2
    ):
        forms = "8x8" if least == 2 else "16 or 16x8"
        raise InputError(f"{option} takes whole numbers such as {forms}, not {text!r}")
    values = tuple(int(part) for part in parts)
    return values * 2 if len(values) == 1 else values
