"""Options of the commands that train a study's runs, and how their texts become values."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from vitprobe.cli import _options as options
from vitprobe.cli._completion import one_of, studies
from vitprobe.errors import InputError, Stopped
from vitprobe.text import printable

_TRY = "In the study's place"

Config = Annotated[
    str | None,
    typer.Option(
        help="The same as STUDY.", metavar="STUDY", show_default=False, autocompletion=studies
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help="The target data set.", rich_help_panel=_TRY, show_default=False),
]
TestTarget = Annotated[
    str | None,
    typer.Option(
        help="Its test images, where it has none of its own.",
        rich_help_panel=_TRY,
        show_default=False,
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        help="Where data sets are downloaded to on first use.",
        rich_help_panel=_TRY,
        show_default=False,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Of every run, pre-training included.",
        rich_help_panel=_TRY,
        min=1,
        show_default=False,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        help="With commas: 0,1,2.", rich_help_panel=_TRY, metavar="N,...", show_default=False
    ),
]
Models = Annotated[
    str | None,
    typer.Option(
        help="Only these of the study's, with commas.",
        autocompletion=one_of(),  # labels that only the study knows
        rich_help_panel=_TRY,
        metavar="NAME,...",
        show_default=False,
    ),
]
Pretraining = Annotated[
    str | None,
    typer.Option(
        help="Only these of the study's pre-training sets, with commas: none,cifar100.",
        rich_help_panel=_TRY,
        metavar="NAME,...",
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_TRY, show_default=False),
]
Output = Annotated[str, typer.Option(help="Folder of the checkpoints.", metavar="DIR")]
Results = Annotated[str, typer.Option(help="Folder of the table and the figure.", metavar="DIR")]


def chosen(name: str | None, config: str | None, default: str | None = None) -> str:
    """The study: as an argument, or with --config.

    Raises:
        InputError: both were given, or none and there is no default.
    """
    if name is not None and config is not None:
        raise InputError(f"two studies, {name!r} and --config {config}: give one")
    if name is None and config is None and default is None:
        from vitprobe.training.study import ready_studies

        ready = ", ".join(ready_studies())
        raise InputError(f"which study? Name one of {ready}, or a TOML file of your own")
    return name or config or default


def asked(*, seeds: str | None, models: str | None, pretraining: str | None, **plain: Any) -> dict:
    """What goes in the study's place, as functions take it.

    Raises:
        InputError: seeds that are no whole numbers, or one of them twice.
    """
    numbers = None if seeds is None else [_seed(text) for text in options.names("--seeds", seeds)]
    if numbers is not None and len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds names the same one twice: {seeds}")
    only = {"models": models, "pretraining": pretraining}
    given = {k: options.names(f"--{k}", text) for k, text in only.items() if text is not None}
    return {**plain, "seeds": numbers, **given}


def report(line: str) -> None:
    """A line for a run that is done."""
    typer.echo(printable(line, None), err=True)


@contextmanager
def going_on(output: str) -> Iterator[None]:
    """In here a stop says that the same command goes on."""
    try:
        yield
    except (KeyboardInterrupt, Stopped) as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        left = f"what is trained so far is in {output}, and the same command goes on"
        raise Stopped(number, left) from None


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--seeds takes whole numbers such as 0,1,2, not {text!r}")
    return int(text)


def words(
    study: str, asked: Mapping[str, Any], kind: str | None = None, examples: int | None = None
) -> list[str]:
    """What of a run is not as the study has it, in a word each: `npz_images`, `epochs3`."""
    from vitprobe.cli._names import data_word
    from vitprobe.training.study import read_study

    found = []
    if asked["dataset"] not in (None, read_study(study, kind).dataset):
        found.append(data_word(asked["dataset"]))
    for name, value in (("epochs", asked["epochs"]), ("examples", examples)):
        if value is not None:
            found.append(f"{name}{value}")
    return found
