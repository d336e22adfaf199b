"""`vitprobe cka`: similarity of all layers of one or more models."""

from itertools import combinations
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError


def command(
    models: Annotated[
        str,
        typer.Option(
            help=r"One or more specs NAME\[(ARG=VALUE)]\[@random|pretrained|digits|FILE], with "
            "commas: vit@digits, resnet20@weights.th, any timm name, torchvision:NAME, "
            "hf:REPOSITORY_OR_FOLDER, package.module:callable.",
            show_default=False,
        ),
    ],
    dataset: options.Dataset = "digits",
    split: options.Split = "test",
    data_dir: options.DataDir = None,
    order: options.Order = "seeded",
    examples: options.Examples = None,
    image_size: options.ImageSize = None,
    mean: options.Mean = None,
    std: options.Std = None,
    skip_bad_images: options.SkipBadImages = False,
    max_pixels: options.MaxPixels = None,
    ignore_orientation: options.IgnoreOrientation = False,
    layers: Annotated[
        list[str],
        typer.Option(
            help="all (every distinct activation), modules, blocks, names, globs "
            "(blocks.*.mlp.fc2) or types (Conv2d), with commas; once, or once per model.",
            rich_help_panel="Layers",
        ),
    ] = ["all"],  # noqa: B006 (typer reads the default)
    tokens: Annotated[
        str, typer.Option(help="all (flattened), cls, patches or mean.", rich_help_panel="Layers")
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
    passes: Annotated[
        int,
        typer.Option(
            help="Times through the examples, each in a new order.", min=1, rich_help_panel="Run"
        ),
    ] = 1,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    defer_bytes: options.DeferBytes = None,
    workers: options.Workers = 0,
    seed: options.Seed = 0,
    output: options.Output = "results",
) -> None:
    """Compare every layer of every model with every other layer (CKA), with error bars.

    For each pair of models, and each with itself: a result (.nc), a heatmap (.png), a table (.csv).

    Example: vitprobe cka --models vit@digits,resnet20@digits
    """
    from vitprobe.analyses.cka import cka_pairs
    from vitprobe.analyses.inputs import numbered, prepare
    from vitprobe.cli._cka_summary import csv_bytes, print_summary
    from vitprobe.cli._output import file_names, netcdf, save, stem
    from vitprobe.cli._warned import plain_warnings, require_kernels
    from vitprobe.figures import plot, png_bytes
    from vitprobe.writing import check_folder

    specs = options.specs("--models", models)
    if len(layers) not in (1, len(specs)):
        raise InputError(
            f"--layers was given {len(layers)} times for {len(specs)} models: once, or once each"
        )
    chosen = [options.names("--layers", text) for text in layers]
    writers = {
        ".nc": netcdf,
        ".png": lambda result: png_bytes(plot(result)),
        ".csv": csv_bytes,
    }
    labels = numbered(specs)
    pairs = [*combinations(labels, 2), *zip(labels, labels, strict=True)]
    stems = [stem("cka", pair) for pair in pairs]
    folder = check_folder(output, file_names(stems, writers))
    require_kernels(device)
    with plain_warnings():
        inputs = prepare(
            specs,
            dataset,
            split=split,
            data_dir=data_dir,
            image_size=image_size,
            mean=options.channels("--mean", mean),
            std=options.channels("--std", std),
            batch_size=batch_size,
            examples=examples,
            passes=passes,
            order=order,
            workers=workers,
            skip_bad_images=skip_bad_images,
            max_pixels=max_pixels,
            ignore_orientation=ignore_orientation,
            device=device,
            seed=seed,
        )
        results = cka_pairs(
            inputs,
            chosen if len(chosen) > 1 else chosen * len(specs),
            tokens=tokens,
            estimator=estimator,
            kernel=kernel,
            precision=precision,
            defer_bytes=defer_bytes,
            progress=True,
        )
        paths = save(results, folder, writers)
    print_summary(results, paths)
