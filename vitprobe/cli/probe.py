"""`vitprobe probe`: what the layers of one or more models know, by probes fitted on them."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.input_options import IMAGES, InputOptions

_LAYERS, _PROBE = "Layers", "Probe"


@options.takes_inputs()
@options.takes_run
def command(
    models: Annotated[
        str,
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ],
    *,
    dataset: options.Dataset = "digits",
    train: Annotated[
        str | None,
        typer.Option(
            help="Data set whose train part probes are fitted on, named like --dataset (default: "
            "that of --dataset; where it has no parts, four fifths of every class).",
            rich_help_panel=IMAGES,
            metavar="DATASET",
            show_default=False,
        ),
    ] = None,
    inputs: InputOptions,
    layers: Annotated[
        str | None,
        typer.Option(
            help="all (every distinct activation), blocks, names, globs or types, as for vitprobe "
            "cka, with commas (default: all; of --tokens each: blocks).",
            rich_help_panel=_LAYERS,
            show_default=False,
        ),
    ] = None,
    tokens: Annotated[
        str,
        typer.Option(
            help="What of a layer's tokens, or a map's positions, a probe gets: mean (of the "
            "patches), mean-all (with class token and registers), cls, first; each: a probe for "
            "each token.",
            rich_help_panel=_LAYERS,
        ),
    ] = "mean",
    pool: Annotated[
        str | None,
        typer.Option(
            help="Instead of one mean those of so many rows and columns of the grid, side by side.",
            rich_help_panel=_LAYERS,
            metavar="RxC",
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        int,
        typer.Option(
            help="Layers of more features are projected at random to so many, unless all features "
            "of all images take 64 MiB at most.",
            rich_help_panel=_LAYERS,
            metavar="N",
        ),
    ] = 2048,
    solver: Annotated[
        str,
        typer.Option(
            help="ridge (to targets 1 and -1, in closed form), logistic (regression on "
            "standardised features) or knn (nearest training images by cosine).",
            rich_help_panel=_PROBE,
        ),
    ] = "ridge",
    l2: Annotated[
        str | None,
        typer.Option(
            help="Penalty, or several with commas to choose from on a fifth of the training images "
            "(default: nine of ridge, five of logistic).",
            rich_help_panel=_PROBE,
            metavar="X,...",
            show_default=False,
        ),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(
            help="Train on so many images of each class alone, drawn anew --draws times.",
            rich_help_panel=_PROBE,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            help="How many draws of --shots (default: 5).",
            rich_help_panel=_PROBE,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="big_vision: the few-shot probe of that repository, --l2 1024.",
            rich_help_panel=_PROBE,
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            help="Neighbours of --solver knn (default: 20).",
            rich_help_panel=_PROBE,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="A neighbour's vote is exp(cosine / this) (default: 0.07).",
            rich_help_panel=_PROBE,
            metavar="X",
            show_default=False,
        ),
    ] = None,
    run: options.RunOptions,
) -> None:
    """Fit a probe on every layer, and show how many test images it names rightly.

    Training and test images go through each model once, in one pass. For each model: a result
    (.nc), a figure (.png), a table (.csv); of several models also one figure (.png) that shows
    accuracy against depth in the same axes.

    Example: vitprobe probe --models vit@digits,resnet20@digits
    """
    from vitprobe.analyses.probe_data import probe_data
    from vitprobe.analyses.probe_reader import ProbeReader
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._probe_summary import WRITERS, Told, penalties, print_summary
    from vitprobe.errors import InputError

    specs = options.specs("--models", models)
    if run.tolerance is not None:
        raise InputError("--tolerance: accuracies are known at the end alone; leave it out")
    reader = ProbeReader(
        None if layers is None else options.names("--layers", layers),
        tokens=tokens,
        pool=options.sides("--pool", pool, least=2),
        solver=solver,
        l2=penalties(l2),
        shots=shots,
        draws=draws,
        convention=convention,
        k=k,
        temperature=temperature,
        width=width,
    )
    images = probe_data(dataset, train, inputs)
    analyse(reader, specs, images, inputs, run, WRITERS, Told(), print_summary)
