"""`vitprobe localization`: do the last layer's tokens stay with their place in the image?"""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import InputOptions

_LAYERS = "Layers"


@options.takes_inputs()
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Whose output, of every model (default: the last block's).",
            rich_help_panel=_LAYERS,
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            help='Rows and columns of tokens, from 0: "0,0;2,3" (default: all).',
            rich_help_panel=_LAYERS,
            metavar="R,C;...",
            show_default=False,
        ),
    ] = None,
    grid: options.Grid = None,
    prefix: options.Prefix = None,
    patch_size: options.PatchSize = None,
    run: options.RunOptions,
) -> None:
    """Compare each token of a layer with the pixels of every patch of the image (CKA).

    For each model: a result (.nc) and a figure (.png); of several models also one figure (.png)
    that shows them beside each other.

    Example: vitprobe localization --models vit@digits,resnet20@digits
    """
    from vitprobe.analyses.localization_reader import LocalizationReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._localization_summary import WRITERS, Told, print_summary

    specs = options.specs("--models", models)
    reader = LocalizationReader(
        layer,
        tokens,
        options.sides("--grid", grid, least=2),
        prefix,
        options.sides("--patch-size", patch_size, least=1),
    )
    analyse(reader, specs, dataset, inputs, run, WRITERS, Told(), print_summary)
