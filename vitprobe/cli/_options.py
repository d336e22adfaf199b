"""Options that several commands share, and how their texts become values."""

from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, get_type_hints

import typer

from vitprobe import input_options
from vitprobe.errors import InputError
from vitprobe.input_options import IMAGES, RUN, SAVE_EVERY, InputOptions

MODELS = (
    r"NAME\[(ARG=VALUE)]\[@WEIGHTS] or LABEL=that: vit@digits, early=resnet20@weights.th, any timm "
    "name, torchvision:NAME, hf:REPOSITORY_OR_FOLDER, package.module:callable; WEIGHTS: random, "
    "pretrained, digits or a file"
)

Dataset = Annotated[
    str,
    typer.Option(
        help="digits (embedded), cifar10, cifar100, svhn, mnist, fashionmnist, imagefolder:PATH, "
        "zip:PATH, npz:PATH, wds:PATTERN (WebDataset shards) or hfds:NAME_OR_FOLDER (Hugging "
        "Face's datasets).",
        rich_help_panel=IMAGES,
    ),
]
DeferBytes = Annotated[
    int | None,
    typer.Option(
        help="Bytes of activations that may be held to be reduced many at once, where "
        "VITPROBE_SCHEDULE is grouped or overlapped (default: 1/32 of a GPU's memory).",
        rich_help_panel=RUN,
        metavar="N",
        min=0,
        show_default=False,
    ),
]
Output = Annotated[
    str,
    typer.Option(help="Folder that the files are written to.", rich_help_panel=RUN, metavar="DIR"),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the files (default: what was done, models, what is not as by default).",
        rich_help_panel=RUN,
        metavar="NAME",
        show_default=False,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace results of another run that have the name (default: its own alone).",
        rich_help_panel=RUN,
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report",
        help="Write a page of the results (.html) beside them, as vitprobe report does.",
        rich_help_panel=RUN,
    ),
]

# where the tokens are, of every model given
_GRID = "Tokens (where a model does not say)"
Grid = Annotated[
    str | None,
    typer.Option(
        help="Rows and columns of patches (of the first stage of a hierarchy).",
        rich_help_panel=_GRID,
        metavar="RxC",
        show_default=False,
    ),
]
Prefix = Annotated[
    int | None,
    typer.Option(
        help="Leading tokens that are no patches: class, registers.",
        rich_help_panel=_GRID,
        metavar="N",
        min=0,
        show_default=False,
    ),
]
PatchSize = Annotated[
    str | None,
    typer.Option(
        help="Pixels of a patch, one side or both (of the first stage of a hierarchy).",
        rich_help_panel=_GRID,
        metavar="N|HxW",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where the files of an analysis go, and how its run is stopped, gone on with and divided."""

    output: Output = "results"
    name: Name = None
    overwrite: Overwrite = False
    report: Report = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from where this run stopped (NAME.partial beside the results), or start.",
            rich_help_panel=RUN,
        ),
    ] = False
    save_every: Annotated[
        float,
        typer.Option(
            help="Seconds between two saves of what there is so far.",
            rich_help_panel=RUN,
            metavar="SECONDS",
        ),
    ] = SAVE_EVERY
    shard: Annotated[
        str | None,
        typer.Option(
            help="The I-th of N shares of the batches (3/8), for a machine of its own; leaves a "
            "partial, and vitprobe merge makes results of all.",
            rich_help_panel=RUN,
            metavar="I/N",
            show_default=False,
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="End when every standard error is below this; looked at when it is time to save, "
            "from 8 batches on.",
            rich_help_panel=RUN,
            metavar="X",
            show_default=False,
        ),
    ] = None
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Say nothing but notes and errors: no summary, no bar, no paths.",
            rich_help_panel=RUN,
        ),
    ] = False


def takes_run(command: Callable) -> Callable:
    """Gives a command with a parameter `run` the options of RunOptions instead."""
    hints = get_type_hints(RunOptions, include_extras=True)
    told = [
        Parameter(
            each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]
        )
        for each in fields(RunOptions)
    ]
    parameters = []
    for own in signature(command).parameters.values():
        parameters += told if own.name == "run" else [own]

    @wraps(command)
    def with_run(*args, **given):
        run = {each.name: given.pop(each.name) for each in told if each.name in given}
        return command(*args, **given, run=RunOptions(**run))

    with_run.__signature__ = signature(command).replace(parameters=parameters)
    return with_run


_TYPES = get_type_hints(InputOptions) | {"mean": str | None, "std": str | None, "device": str}
_FORMS = {
    "examples": {"metavar": "N"},
    "mean": {"metavar": "R,G,B"},
    "std": {"metavar": "R,G,B"},
    "max_pixels": {"metavar": "N", "min": 1},
    "workers": {"min": 0},
}


def takes_inputs(**told: Any) -> Callable:
    """Gives a command with a parameter `inputs` the options of InputOptions, each as `--option`;
    see `vitprobe.input_options.takes_inputs`."""
    return input_options.takes_inputs(annotate=_typed, made=_made, **told)


def _typed(field: Field) -> Any:
    about = field.metadata
    shown = field.default is not None and field.default is not False
    names = [f"--{field.name.replace('_', '-')}"] if field.default is False else []
    return Annotated[
        _TYPES[field.name],
        typer.Option(
            *names,
            help=about["help"],
            rich_help_panel=about["panel"],
            show_default=shown,
            **_FORMS.get(field.name, {}),
        ),
    ]


def _made(**values: Any) -> InputOptions:
    for name in ("mean", "std"):
        values[name] = channels(f"--{name}", values.get(name))
    return InputOptions(**values)


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
    """Model specs with commas between them; a spec's arguments may hold others. Of a file with `*`
    or `?` in its name one spec for each that there is.

    Raises:
        InputError: a part is empty, or no file matches.
    """
    from vitprobe.models.spec import expand_files, split_specs

    parts = _whole(option, text, split_specs(text))
    return [each for part in parts for each in expand_files(part)]


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
