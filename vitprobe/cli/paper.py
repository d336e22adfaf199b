"""`vitprobe paper`: every analysis that the models allow, and what they show, in one folder."""

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
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ],
    *,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    index: Annotated[
        str,
        typer.Option(
            help="Images whose attention maps and feature maps are drawn, counted from 0 in stored "
            "order, with commas; none.",
            rich_help_panel=options.IMAGES,
            metavar="N,...",
        ),
    ] = "0",
    layers: Annotated[
        str,
        typer.Option(
            help="Of CKA and dominant examples: blocks, all (every distinct activation), names, "
            "globs or types, with commas.",
            rich_help_panel="Layers",
        ),
    ] = "blocks",
    run: options.RunOptions,
) -> None:
    """Make every analysis that the models allow in one pass, and say what they show.

    Writes a folder (paper-MODELS): findings in plain sentences with their numbers (findings.md with
    all figures, findings.csv), and the results (.nc), figures (.png) and tables (.csv) of each
    analysis. What a model does not allow is left out, with the reason. Receptive fields are of the
    first 32 examples.

    Example: vitprobe paper --models vit@digits,resnet20@digits
    """
    specs, images = options.specs("--models", models), _images(index)
    chosen = options.names("--layers", layers)
    from vitprobe.analyses.paper import pictures
    from vitprobe.analyses.paper_reader import PaperReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._paper_summary import WRITERS, Told, print_summary

    analyse(
        PaperReader(chosen, images),
        specs,
        dataset,
        inputs,
        run,
        WRITERS,
        Told(),
        print_summary,
        beside=lambda given: pictures(given, images),
    )


def _images(text: str) -> list[int] | None:
    if text.strip() == "none":
        return None
    numbers = options.names("--index", text)
    if not all(number.isdecimal() for number in numbers):
        raise InputError(f"--index takes whole numbers from 0 such as 0,3, or none, not {text!r}")
    return list(dict.fromkeys(map(int, numbers)))
