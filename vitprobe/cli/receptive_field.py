"""`vitprobe receptive-field`: which pixels the centre of each layer depends on."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import InputOptions

_WHAT = "What is looked at"


@options.takes_inputs(usual={"examples": "32, as in the paper"})
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layers: Annotated[
        str | None,
        typer.Option(
            help="blocks, names, globs, types, with commas (default: the blocks and, of "
            "transformers, each residual sum).",
            rich_help_panel=_WHAT,
            show_default=False,
        ),
    ] = None,
    residual: Annotated[
        str,
        typer.Option(
            help="post: values after a residual sum; pre: the long branch alone, before it.",
            rich_help_panel=_WHAT,
        ),
    ] = "post",
    convention: Annotated[
        str,
        typer.Option(
            help="Which value is differentiated, and what is made of its gradient: raghu, replknet "
            "or openerf.",
            rich_help_panel=_WHAT,
        ),
    ] = "raghu",
    run: options.RunOptions,
) -> None:
    """Effective receptive field of every layer: the gradient of its centre over the image.

    Of a data set the first 32 examples, where --examples says nothing else. For each model: a
    result (.nc), a figure (.png), a table (.csv); of several models also one figure (.png) of all.

    Example: vitprobe receptive-field --models vit@digits,resnet20@digits
    """
    from vitprobe.analyses.receptive_field import few
    from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._receptive_field_summary import WRITERS, Told, print_summary

    asked = None if layers is None else options.names("--layers", layers)
    reader = ReceptiveFieldReader(asked, residual, convention)
    specs = options.specs("--models", models)
    inputs = few(dataset, inputs)
    analyse(reader, specs, dataset, inputs, run, WRITERS, Told(), print_summary)
