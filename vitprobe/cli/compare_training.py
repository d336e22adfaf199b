"""`vitprobe compare-training`: accuracy of models after different training, as a table."""

import signal
import sys
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli._completion import one_of, studies
from vitprobe.errors import InputError, Stopped
from vitprobe.text import printable

_TRY = "In the study's place"


def command(
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study: small-data, data-size, or a TOML file of your own.",
            metavar="STUDY",
            show_default=False,
            autocompletion=studies,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="The same as STUDY.",
            metavar="STUDY",
            show_default=False,
            autocompletion=studies,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="The target data set.",
            rich_help_panel=_TRY,
            show_default=False,
        ),
    ] = None,
    test_dataset: Annotated[
        str | None,
        typer.Option(
            help="Its test images, where it has none of its own.",
            rich_help_panel=_TRY,
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            help="Where data sets are downloaded to on first use.",
            rich_help_panel=_TRY,
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Of every run, pre-training included.",
            rich_help_panel=_TRY,
            min=1,
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="With commas: 0,1,2.", rich_help_panel=_TRY, metavar="N,...", show_default=False
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="Only these of the study's, with commas.",
            autocompletion=one_of(),  # labels that only the study knows
            rich_help_panel=_TRY,
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    pretraining: Annotated[
        str | None,
        typer.Option(
            help="Only these of the study's pre-training sets, with commas: none,cifar100.",
            rich_help_panel=_TRY,
            metavar="NAME,...",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=_TRY, show_default=False
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="Folder of the checkpoints.", metavar="DIR")
    ] = "checkpoints",
    results: Annotated[
        str,
        typer.Option(help="Folder of the table and the figure.", metavar="DIR"),
    ] = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Train what a study asks for, over seeds, and compare the accuracies.

    Runs that are finished already are read, those that were cut go on: the same command, typed
    again, continues. Writes the numbers (.nc), the table (.csv) and a figure (.png).

    Example: vitprobe compare-training data-size
    """
    chosen = _study(study, config)
    numbers = None if seeds is None else [_seed(text) for text in options.names("--seeds", seeds)]
    if numbers is not None and len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds names the same one twice: {seeds}")
    from vitprobe.analyses.compare_training import asked_study, compare_training, study_facts
    from vitprobe.cli._compare_training_summary import csv_bytes, print_summary
    from vitprobe.cli._output import ResultFiles, Writers, netcdf
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.figures import plot, png_bytes
    from vitprobe.passes.processes import writes

    writers = Writers(
        {".nc": netcdf, ".csv": csv_bytes, ".png": lambda result: png_bytes(plot(result))}
    )
    files = ResultFiles(results, writers, name=name, overwrite=overwrite, option="results")
    only = {"models": models, "pretraining": pretraining}
    asked = {
        "dataset": dataset,
        "test_dataset": test_dataset,
        "data_dir": data_dir,
        "epochs": epochs,
        "seeds": numbers,
        "device": device,
    } | {key: options.names(f"--{key}", text) for key, text in only.items() if text is not None}
    words = [] if epochs is None else [f"epochs{epochs}"]
    files.settle([study_facts(asked_study(chosen, **asked))], words)
    try:
        with plain_warnings():
            result = compare_training(
                chosen,
                **asked,
                output=output,
                progress=sys.stdout.isatty(),
                report=lambda line: typer.echo(printable(line, None), err=True),
            )
    except (KeyboardInterrupt, Stopped) as stop:
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        left = f"what is trained so far is in {output}, and the same command goes on"
        raise Stopped(number, left) from None
    if not writes():  # under torchrun the first process does
        return
    print_summary(result, files.save([result]))


def _study(name: str | None, config: str | None) -> str:
    if name is not None and config is not None:
        raise InputError(f"two studies, {name!r} and --config {config}: give one")
    if name is None and config is None:
        from vitprobe.training.study import ready_studies

        ready = ", ".join(ready_studies())
        raise InputError(f"which study? Name one of {ready}, or a TOML file of your own")
    return name if config is None else config


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--seeds takes whole numbers such as 0,1,2, not {text!r}")
    return int(text)
