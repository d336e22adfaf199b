"""`vitprobe head-subsets`: are local or global heads like another model's early layers?"""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError


def command(
    models: Annotated[
        str,
        typer.Option(
            help=r"Two specs NAME\[@random|pretrained|digits|FILE], with a comma: whose heads, and "
            "what they are compared with: vit@digits,resnet20@digits.",
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
    max_pixels: options.MaxPixels = None,
    ignore_orientation: options.IgnoreOrientation = False,
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
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    workers: options.Workers = 0,
    seed: options.Seed = 0,
    output: options.Output = "results",
) -> None:
    """Compare local and global heads of a transformer's layer with another model's layers (CKA).

    Writes the numbers (.nc) and a figure (.png): CKA against the heads' mean attention distance.

    Example: vitprobe head-subsets --models vit@digits,resnet20@digits
    """
    specs = options.specs("--models", models)
    if len(specs) != 2:
        raise InputError(f"--models takes two models such as vit,resnet18, not {models!r}")
    counts = None if sizes is None else [_count(text) for text in options.names("--sizes", sizes)]
    from vitprobe.analyses.head_subsets import head_subsets_of
    from vitprobe.analyses.inputs import numbered, prepare
    from vitprobe.cli._head_subsets_summary import print_summary
    from vitprobe.cli._output import file_names, netcdf, save, stem
    from vitprobe.cli._warned import plain_warnings, require_kernels
    from vitprobe.figures import plot, png_bytes
    from vitprobe.writing import check_folder

    writers = {".nc": netcdf, ".png": lambda result: png_bytes(plot(result))}
    names = file_names([stem("head_subsets", numbered(specs))], writers)
    folder = check_folder(output, names)
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
            max_pixels=max_pixels,
            ignore_orientation=ignore_orientation,
            device=device,
            seed=seed,
        )
        result = head_subsets_of(
            inputs,
            layer=layer,
            sizes=counts,
            layers=None if layers is None else options.names("--layers", layers),
            precision=precision,
        )
    print_summary(result, save([result], folder, writers))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--sizes takes whole numbers such as 1,2,4, not {text!r}")
    return int(text)
