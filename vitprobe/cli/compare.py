"""`vitprobe compare`: how alike several models are."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions


@options.takes_inputs()
@options.takes_run
def command(
    results: Annotated[
        list[str] | None,
        typer.Argument(
            help="Instead of models: files (.nc) that vitprobe cka wrote, one for each pair of "
            "models, or vitprobe compare, of some of the models each.",
            metavar="RESULT.nc...",
            show_default=False,
        ),
    ] = None,
    *,
    models: Annotated[
        str | None,
        typer.Option(
            help=f"Two or more with commas, each {options.MODELS}, with * and ? for several.",
            show_default=False,
        ),
    ] = None,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layers: Annotated[
        list[str],
        typer.Option(
            help="As for vitprobe cka; once, or once per model.", rich_help_panel="Layers"
        ),
    ] = ["blocks"],  # noqa: B006 (typer reads the default)
    tokens: Annotated[
        str,
        typer.Option(help="all (flattened), cls, patches or mean.", rich_help_panel="Layers"),
    ] = "all",
    null: Annotated[
        int,
        typer.Option(
            help="Permutations of the examples that similarities are calibrated against; 0: none.",
            rich_help_panel="Similarity",
            metavar="K",
        ),
    ] = 100,
    at_once: Annotated[
        int | None,
        typer.Option(
            help="Models in memory at once, at most; of more, groups go through the images until "
            "every pair has met (default: all, or as many as memory allows).",
            rich_help_panel=options.RUN,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    run: options.RunOptions,
) -> None:
    """Compare several models with each other: a matrix, a dendrogram and a map.

    The similarity of two models is the mean, over the layers of both, of the CKA with the best
    match in the other one. Writes the numbers (.nc), a figure (.png), a table of pairs (.csv) and
    of layers (-matches.csv).

    Example: vitprobe compare --models vit@digits,resnet20@digits,vit,resnet20
    """
    if results and models is not None:
        raise InputError("give --models or files of results, not both")
    if results:
        from vitprobe.cli._compare_files import compare_files

        compare_files(results, run)
        return
    if models is None:
        raise InputError(
            "nothing to compare: give --models vit@digits,resnet20@digits,vit or files of results"
        )
    specs = options.specs("--models", models)
    if len(specs) < 2:
        raise InputError(
            f"--models takes two models or more, such as vit@digits,resnet20@digits, not {models!r}"
        )
    if len(layers) not in (1, len(specs)):
        raise InputError(
            f"--layers was given {len(layers)} times for {len(specs)} models: once, or once each"
        )
    from vitprobe.cli._compare_groups import compare_models

    asked = [options.names("--layers", text) for text in layers]
    asked = asked if len(asked) > 1 else asked * len(specs)
    compare_models(specs, asked, dataset, inputs, run, tokens=tokens, null=null, at_once=at_once)
