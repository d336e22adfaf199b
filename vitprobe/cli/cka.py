"""`vitprobe cka`: similarity of all layers of one or more models."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions


@options.takes_inputs()
@options.takes_run
def command(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="More of --features.")
    ] = None,
    *,
    models: Annotated[
        str | None,
        typer.Option(help=f"One or more with commas, each {options.MODELS}.", show_default=False),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of models, stored activations: one or more files (.npz, .npy, "
            ".safetensors), each FILE or LABEL=FILE. Their arrays, (examples, ...), are layers.",
            metavar="FILE...",
            show_default=False,
        ),
    ] = None,
    dataset: options.Dataset = "digits",
    inputs: InputOptions,
    layers: Annotated[
        list[str],
        typer.Option(
            help="all (every distinct activation), modules, blocks, names, globs "
            "(blocks.*.mlp.fc2) or types (Conv2d), with commas; once, or once per model.",
            rich_help_panel="Layers",
        ),
    ] = ["all"],  # noqa: B006 (typer reads the default)
    tokens: Annotated[
        str,
        typer.Option(
            help="all (flattened), cls, patches or mean; one for all models, or one for each with "
            "commas (cls,mean).",
            rich_help_panel="Layers",
        ),
    ] = "all",
    estimator: Annotated[
        str,
        typer.Option(
            help="unbiased, or biased (depends on the batch size).", rich_help_panel="Similarity"
        ),
    ] = "unbiased",
    kernel: Annotated[
        str,
        typer.Option(
            help="linear, rbf or rbf:FRACTION (sigma = FRACTION x root median squared distance).",
            rich_help_panel="Similarity",
        ),
    ] = "linear",
    null: Annotated[
        int | None,
        typer.Option(
            help="Permutations of the examples, such as 200, that say which pairs are more alike "
            "by CKA than chance: p-values, a line, calibrated values (default: none).",
            rich_help_panel="Similarity",
        ),
    ] = None,
    measure: Annotated[
        str,
        typer.Option(
            help="cka and others of the same forward, with commas: cka_biased, cka_rbf, rsa, nbs, "
            "procrustes, gulp (of batches), cca, svcca, pwcca, mutual_knn, cknna (of all examples "
            "together); options follow (rsa:euclidean:spearman, mutual_knn:5).",
            rich_help_panel="Similarity",
        ),
    ] = "cka",
    passes: Annotated[
        int,
        typer.Option(
            help="Times through the examples, each in a new order.",
            min=1,
            rich_help_panel=options.RUN,
        ),
    ] = 1,
    defer_bytes: options.DeferBytes = None,
    run: options.RunOptions,
) -> None:
    """Compare every layer of every model with every other layer (CKA), with error bars.

    For each pair of models, and each with itself: a result (.nc), a heatmap (.png), a table (.csv);
    where there are several, also one figure of all pairs (-pairs.png); of several measures their
    maps beside each other (-measures.png).

    Example: vitprobe cka --models vit@digits,resnet20@digits

    Example: vitprobe cka --features early=a.npz late=b.npz
    """
    from vitprobe.analyses.cka_measures import reader_of_measures
    from vitprobe.cli._analyse import analyse
    from vitprobe.cli._feature_options import check_no_images, feature_files
    from vitprobe.cli._measures_summary import shown_of
    from vitprobe.passes.stored import stored

    files = feature_files(features, more, models)
    if files:
        check_no_images(inputs, dataset, tokens)
        specs, dataset = stored(files)
    else:
        specs = options.specs("--models", models)
    if len(layers) not in (1, len(specs)):
        what = "files" if files else "models"
        raise InputError(
            f"--layers was given {len(layers)} times for {len(specs)} {what}: once, or once each"
        )
    chosen = [options.names("--layers", text) for text in layers]
    chosen = chosen if len(chosen) > 1 else chosen * len(specs)
    words = options.names("--tokens", tokens)
    reader = reader_of_measures(
        options.names("--measure", measure),
        layers_of_each=chosen,
        tokens=words,
        estimator=estimator,
        kernel=kernel,
        null=null,
        defer_bytes=defer_bytes,
    )
    analyse(reader, specs, dataset, inputs, run, *shown_of(reader), passes=passes)
