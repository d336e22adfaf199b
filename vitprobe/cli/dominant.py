"""`vitprobe dominant`: why a map of CKA shows blocks, and the map without those examples."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import InputOptions


@options.takes_inputs()
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(
            "--model",
            "--models",
            help=f"One or more with commas, each {options.MODELS}.",
            show_default=False,
        ),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layers: Annotated[
        str,
        typer.Option(
            help="blocks, all (every distinct activation), names, globs or types, as for vitprobe "
            "cka, with commas.",
            rich_help_panel="Layers",
        ),
    ] = "blocks",
    drop: Annotated[
        float,
        typer.Option(
            help="Share of each batch that the second map leaves out, those with the highest "
            "scores: 0 to 0.5.",
            rich_help_panel="Examples",
            metavar="SHARE",
        ),
    ] = 0.05,
    top: Annotated[
        int,
        typer.Option(
            help="How many of the examples with the highest scores are shown.",
            rich_help_panel="Examples",
            metavar="N",
        ),
    ] = 16,
    run: options.RunOptions,
) -> None:
    """Show which few examples dominate a model's layers, and the CKA of its layers without them.

    For each model: a result (.nc) and a figure (.png): the map of CKA, the map without these
    examples, the first principal component's share of each layer, and the examples.

    Example: vitprobe dominant --model resnet20@digits
    """
    from vitprobe.analyses.dominant_reader import DominantReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._dominant_summary import WRITERS, Told, print_summary

    specs = options.specs("--model", models)
    reader = DominantReader(options.names("--layers", layers), drop=drop, top=top)
    analyse(reader, specs, dataset, inputs, run, WRITERS, Told(), print_summary)
