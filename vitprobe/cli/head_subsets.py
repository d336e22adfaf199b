"""`vitprobe head-subsets`: are local or global heads like another model's early layers?"""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions


@options.takes_inputs()
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(
            help=f"Two with a comma, whose heads and what they are compared with; each "
            f"{options.MODELS}.",
            show_default=False,
        ),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Attention module, or its block (blocks.3), of the first model (default: the "
            "first).",
            rich_help_panel="Layers",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers of the second model, as for vitprobe cka (default: its first 4 blocks).",
            rich_help_panel="Layers",
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Heads in a subset, with commas (default: 1, 2, 4, ... below all).",
            rich_help_panel="Layers",
            metavar="K,...",
            show_default=False,
        ),
    ] = None,
    run: options.RunOptions,
) -> None:
    """Compare local and global heads of a transformer's layer with another model's layers (CKA).

    Writes the numbers (.nc) and a figure (.png): CKA against the heads' mean attention distance.

    Example: vitprobe head-subsets --models vit@digits,resnet20@digits
    """
    specs = options.specs("--models", models)
    if len(specs) != 2:
        raise InputError(f"--models takes two models such as vit,resnet18, not {models!r}")
    counts = None if sizes is None else [_count(text) for text in options.names("--sizes", sizes)]
    from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._head_subsets_summary import WRITERS, Told, print_summary

    chosen = None if layers is None else options.names("--layers", layers)
    reader = HeadSubsetsReader(layer, counts, chosen)
    analyse(reader, specs, dataset, inputs, run, WRITERS, Told(), print_summary)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--sizes takes whole numbers such as 1,2,4, not {text!r}")
    return int(text)
