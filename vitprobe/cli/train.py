"""`vitprobe train`: pre-train, fine-tune, probe or train from scratch."""

from typing import Annotated, Any

import typer

from vitprobe.errors import InputError

_MODEL, _RECIPE, _RUN = "Model", "Recipe", "Run"


def _option(*names: str, help: str, panel: str, **more: Any):
    """An option without a default of its own: what is not given follows the recipe."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


def command(
    mode: Annotated[
        str | None,
        typer.Argument(
            help="pretrain, finetune, resnet, scratch or probe.", show_default=False, metavar="MODE"
        ),
    ] = None,
    mode_option: Annotated[
        str | None, _option("-m", "--mode", help="The same as MODE.", panel=_RUN)
    ] = None,
    model: Annotated[
        str | None,
        _option(
            "--model",
            help=r"vit, vit-zhu2023, vit-small-data, resnet18, lambda_resnet26, any timm name, "
            r"torchvision:NAME, package.module:callable; NAME\[@pretrained|FILE] to fine-tune.",
            panel=_MODEL,
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        _option(
            "-ckpt", "--checkpoint", help="Trained weights to fine-tune or probe.", panel=_MODEL
        ),
    ] = None,
    patch_size: Annotated[
        int | None, _option("-ps", "--patch_size", help="Of a ViT, pixels.", panel=_MODEL)
    ] = None,
    dim: Annotated[
        int | None, _option("-dim", "--dim", help="Width of a ViT.", panel=_MODEL)
    ] = None,
    heads: Annotated[
        int | None, _option("-hd", "--heads", help="Heads of a ViT.", panel=_MODEL)
    ] = None,
    depth: Annotated[
        int | None, _option("-d", "--depth", help="Blocks of a ViT.", panel=_MODEL)
    ] = None,
    mlp_dim: Annotated[
        int | None,
        _option("-md", "--mlp_dim", help="Hidden width of a ViT's MLPs.", panel=_MODEL),
    ] = None,
    dropout: Annotated[
        float | None, _option("-do", "--dropout", help="Of a ViT.", panel=_MODEL)
    ] = None,
    pool: Annotated[
        str | None,
        _option("--pool", help="cls (class token) or mean (of the patches).", panel=_MODEL),
    ] = None,
    remove_skip: Annotated[
        int | None,
        _option("--remove_skip", help="Leave out the skips of this block, from 0.", panel=_MODEL),
    ] = None,
    dataset: Annotated[
        str | None,
        _option(
            "--dataset",
            help="digits (embedded), cifar10, cifar100, svhn, mnist, fashionmnist, "
            "imagefolder:PATH, zip:PATH, npz:PATH, wds:PATTERN or hfds:NAME_OR_FOLDER.",
            panel="Images",
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        _option(
            "-dir",
            "--data_dir",
            help="Where the data set is, or is downloaded to; without --dataset its last part "
            "names it: data/cifar100, or a folder of images.",
            panel="Images",
        ),
    ] = None,
    test_dataset: Annotated[
        str | None,
        _option(
            "--test_dataset",
            help="Test images, where the data set has no such part (npz:test.npz).",
            panel="Images",
        ),
    ] = None,
    image_size: Annotated[
        int | None, _option("-i", "--image_size", help="Pixels.", panel="Images")
    ] = None,
    max_pixels: Annotated[
        int | None,
        _option(
            "--max_pixels",
            help="Refuse images of more pixels (default: 64 million).",
            panel="Images",
            metavar="N",
        ),
    ] = None,
    ignore_orientation: Annotated[
        bool | None,
        typer.Option(
            "--ignore_orientation",
            help="Keep images as they are stored, whatever EXIF says of how the camera was held.",
            rich_help_panel="Images",
            show_default=False,
        ),
    ] = None,
    num_classes: Annotated[
        int | None,
        _option("-nc", "--num_classes", help="Checked against the data set's.", panel="Images"),
    ] = None,
    fraction: Annotated[
        float | None,
        _option(
            "--fraction",
            help="Share of the training images, the same of every class.",
            panel="Images",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        _option("--recipe", help="A name of vitprobe recipes, or a .toml file.", panel=_RECIPE),
    ] = None,
    batch_size: Annotated[
        int | None,
        _option("-b", "--batch_size", help="Images a step, of all processes.", panel=_RECIPE),
    ] = None,
    epochs: Annotated[
        int | None, _option("-e", "--epochs", help="Times through the images.", panel=_RECIPE)
    ] = None,
    optimizer: Annotated[
        str | None,
        _option("--optimizer", help="adamw, adam, sgd or another of timm's.", panel=_RECIPE),
    ] = None,
    lr: Annotated[
        float | None, _option("--lr", help="Highest learning rate.", panel=_RECIPE)
    ] = None,
    weight_decay: Annotated[
        float | None,
        _option("--weight_decay", help="Of weights, not of biases and norms.", panel=_RECIPE),
    ] = None,
    scheduler: Annotated[
        str | None, _option("--scheduler", help="cosine, tanh, poly, step or none.", panel=_RECIPE)
    ] = None,
    model_name: Annotated[
        str | None, _option("-mn", "--model_name", help="Name of the files.", panel=_RUN)
    ] = None,
    output: Annotated[
        str | None,
        _option("--output", help="Folder of the files (checkpoints).", panel=_RUN, metavar="DIR"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where this run stopped, or start.", rich_help_panel=_RUN
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the files of this name, also those of a run with other settings.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Write a page of the run (.html) beside its table, as vitprobe report does.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    config: Annotated[
        str | None,
        _option("--config", help="These options, and a recipe's, in a .toml file.", panel=_RUN),
    ] = None,
    seed: Annotated[
        int | None,
        _option("--seed", help="Of weights, subset, order and augmentation.", panel=_RUN),
    ] = None,
    device: Annotated[
        str | None, _option("--device", help="auto, cpu, cuda, cuda:N or mps.", panel=_RUN)
    ] = None,
    precision: Annotated[
        str | None, _option("--precision", help="fp32, or bf16 (autocast).", panel=_RUN)
    ] = None,
    compile: Annotated[
        bool | None,
        typer.Option(
            "--compile", help="torch.compile the model.", rich_help_panel=_RUN, show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        _option(
            "--workers", help="Processes that decode a set too large for memory.", panel=_RUN, min=0
        ),
    ] = None,
    save_every: Annotated[
        float | None,
        _option("--save_every", help="Seconds between checkpoints within an epoch.", panel=_RUN),
    ] = None,
    keep_every: Annotated[
        int | None,
        _option(
            "--keep_every",
            help="Keep the weights before the first step, of every N-th epoch and of the last.",
            panel=_RUN,
            metavar="N",
        ),
    ] = None,
) -> None:
    """Train a model: its best epoch by validation, its history and all to go on with are kept.

    What is not given follows the recipe, and the recipe follows mode and data set.

    Example: vitprobe train scratch --model vit --dataset digits
    """
    given = dict(locals())
    from vitprobe.cli._train_summary import print_summary, write_report
    from vitprobe.cli._typed import typed
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.training import train

    if mode and mode_option and mode != mode_option:
        raise InputError(f"two modes, {mode!r} and -m {mode_option!r}: give one")
    apart = ("mode", "mode_option", "config", "resume", "overwrite", "report")
    with plain_warnings():
        result = train(
            mode or mode_option,
            config=config,
            resume=resume,
            overwrite=overwrite,
            progress=True,
            command=typed(),
            **{key: value for key, value in given.items() if key not in apart},
        )
        print_summary(result)
        if report:
            write_report(result, overwrite)
