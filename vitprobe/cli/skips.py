"""`vitprobe skips`: how large the skips of one or more models are beside what is added to them."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import InputOptions


@options.takes_inputs(batch_size=64)
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    run: options.RunOptions,
) -> None:
    """Norm ratio and cosine of every skip connection and the branch that is added to it.

    For each model: a result (.nc), a figure (.png), a table (.csv); of several models also one
    figure (.png) that shows them in the same axes.

    Example: vitprobe skips --models vit@digits,resnet20@digits
    """
    from vitprobe.analyses.skips_reader import SkipsReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._skips_summary import WRITERS, Told, print_summary

    specs = options.specs("--models", models)
    analyse(SkipsReader(), specs, dataset, inputs, run, WRITERS, Told(), print_summary)
