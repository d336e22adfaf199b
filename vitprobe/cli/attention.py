"""`vitprobe attention`: how far the heads of one or more vision transformers look."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options

_GRID = "Tokens (where a model does not say)"


def command(
    models: Annotated[
        str,
        typer.Option(
            help=r"One or more specs NAME\[(ARG=VALUE)]\[@random|pretrained|digits|FILE], with "
            "commas: vit@digits, vit@weights.pth, any timm name, torchvision:NAME, "
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
    grid: Annotated[
        str | None,
        typer.Option(
            help="Rows and columns of patches (of the first stage of a hierarchy).",
            rich_help_panel=_GRID,
            metavar="RxC",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[
        int | None,
        typer.Option(
            help="Leading tokens that are no patches: class, registers.",
            rich_help_panel=_GRID,
            metavar="N",
            min=0,
            show_default=False,
        ),
    ] = None,
    patch_size: Annotated[
        str | None,
        typer.Option(
            help="Pixels of a patch, one side or both (of the first stage of a hierarchy).",
            rich_help_panel=_GRID,
            metavar="N|HxW",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(help="Images a batch; no result depends on it.", rich_help_panel="Run")
    ] = 64,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    workers: options.Workers = 0,
    seed: options.Seed = 0,
    output: options.Output = "results",
) -> None:
    """Attention distance and entropy of every head of every layer, without storing attention.

    For each model: a result (.nc), a figure (.png), a table (.csv); of several models also one
    figure (.png) that shows them beside each other.

    Example: vitprobe attention --models vit@digits,vit
    """
    from vitprobe.analyses.attention import attention_of_models
    from vitprobe.analyses.inputs import numbered, prepare
    from vitprobe.cli._attention_summary import csv_bytes, print_summary
    from vitprobe.cli._output import file_names, netcdf, save, stem
    from vitprobe.cli._warned import plain_warnings, require_kernels
    from vitprobe.figures import plot, png_bytes
    from vitprobe.figures.attention import compare
    from vitprobe.writing import check_folder

    specs = options.specs("--models", models)
    given = {
        "grid": options.sides("--grid", grid, least=2),
        "prefix": prefix,
        "patch_size": options.sides("--patch-size", patch_size, least=1),
    }
    writers = {
        ".nc": netcdf,
        ".png": lambda result: png_bytes(plot(result)),
        ".csv": csv_bytes,
    }
    together = {".png": lambda: png_bytes(compare(results))} if len(specs) > 1 else {}
    stems = [stem("attention", [label]) for label in numbered(specs)]
    folder = check_folder(output, file_names(stems, writers, together))
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
            order=order,
            workers=workers,
            skip_bad_images=skip_bad_images,
            max_pixels=max_pixels,
            ignore_orientation=ignore_orientation,
            device=device,
            seed=seed,
        )
        results = attention_of_models(inputs, **given, precision=precision, progress=True)
        paths = save(results, folder, writers, together)
    print_summary(results, paths)
