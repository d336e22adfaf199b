"""`vitprobe finetuning`: what fine-tuning, or training, changes in a model."""

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
            help="Two or more checkpoints of one architecture with commas, the first of which the "
            f"others are compared with; each {options.MODELS}, with * and ? for several.",
            show_default=False,
        ),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layers: Annotated[
        str,
        typer.Option(
            help="Of the first model, as for vitprobe cka; matched by name.",
            rich_help_panel="Layers",
        ),
    ] = "blocks",
    run: options.RunOptions,
) -> None:
    """Compare each block of some checkpoints with the same block of the first (CKA).

    Writes the numbers (.nc), a figure (.png) of CKA and attention distance, tables (.csv).

    Example: vitprobe finetuning --models vit@digits,vit@checkpoints/vit-mnist-finetune.pt
    """
    specs = options.specs("--models", models)
    if len(specs) < 2:
        raise InputError(
            f"--models takes two checkpoints or more, such as vit@before.pt,vit@after.pt, not "
            f"{models!r}"
        )
    from vitprobe.analyses.finetuning_reader import FinetuningReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._finetuning_summary import WRITERS, Told, print_summary

    reader = FinetuningReader(options.names("--layers", layers))
    analyse(reader, specs, dataset, inputs, run, WRITERS, Told(), print_summary)
