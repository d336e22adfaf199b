"""`vitprobe attention`: how far the heads of one or more vision transformers look."""

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
    grid: options.Grid = None,
    prefix: options.Prefix = None,
    patch_size: options.PatchSize = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            help="Unit of distances in the figures: pixels, uniform (times uniform attention's) or "
            "diagonal (of the image); default: pixels, of images of several sizes diagonal.",
            rich_help_panel="Figures",
            show_default=False,
        ),
    ] = None,
    run: options.RunOptions,
) -> None:
    """Attention distance and entropy of every head of every layer, without storing attention.

    For each model: a result (.nc), a figure (.png), a table (.csv); of several models also one
    figure (.png) that shows them beside each other.

    Example: vitprobe attention --models vit@digits,vit
    """
    from vitprobe.analyses.attention_reader import AttentionReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._attention_summary import Told, print_summary, writers
    from vitprobe.figures.attention_scale import chosen_unit

    chosen_unit([], normalize)
    specs = options.specs("--models", models)
    reader = AttentionReader(
        options.sides("--grid", grid, least=2),
        prefix,
        options.sides("--patch-size", patch_size, least=1),
    )
    analyse(reader, specs, dataset, inputs, run, writers(normalize), Told(), print_summary)
