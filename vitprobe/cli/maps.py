"""`vitprobe maps`: where a vision transformer looks in single images."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError

ABSENT = {"positions": "no_position_similarity", "filters": "no_filters"}
QUERIES = {"class token": "the class token", "mean over queries": "all queries in the mean"}


def command(
    model: Annotated[
        str,
        typer.Option(
            help=r"A spec NAME\[@random|pretrained|digits|FILE]: vit@digits, any timm name, ...",
            show_default=False,
        ),
    ],
    image: Annotated[
        str | None,
        typer.Option(
            help="An image file, or a folder of images.",
            rich_help_panel="Images",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(
            help="The N-th image of --dataset, counted from 0 in stored order.",
            rich_help_panel="Images",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    dataset: options.Dataset = "digits",
    split: options.Split = "test",
    data_dir: options.DataDir = None,
    image_size: options.ImageSize = None,
    mean: options.Mean = None,
    std: options.Std = None,
    max_pixels: options.MaxPixels = None,
    ignore_orientation: options.IgnoreOrientation = False,
    layers: Annotated[
        str,
        typer.Option(
            help="all (the figure shows the first, middle and last), or blocks (blocks.3), names "
            "of attention modules and globs, with commas.",
            rich_help_panel="Layers",
        ),
    ] = "all",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    seed: options.Seed = 0,
    output: options.Output = "results",
) -> None:
    """Draw class-token attention and attention rollout over single images.

    Also the model's position embeddings and patch filters. Writes the numbers (.nc) and a figure
    (.png) for each image.

    Example: vitprobe maps --model vit --index 0
    """
    if (image is None) == (index is None):
        raise InputError("give the image: either --image FILE (or a folder) or --index N")
    from vitprobe.analyses.maps import maps
    from vitprobe.analyses.pictures import choose
    from vitprobe.cli._output import file_names, netcdf, save, stem
    from vitprobe.cli._summary import new_console, say, say_model, say_random
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.data import Transform, image_files, load_data
    from vitprobe.figures import png_bytes
    from vitprobe.figures.filters import filter_figure
    from vitprobe.figures.maps import figure
    from vitprobe.figures.positions import position_figure
    from vitprobe.file_names import distinct, file_word
    from vitprobe.writing import check_folder

    folder = check_folder(output)
    decoding = {"max_pixels": max_pixels, "ignore_orientation": ignore_orientation}
    with plain_warnings():
        if image is None:
            data = load_data(dataset, split=split, data_dir=data_dir, **decoding)
        else:
            data = image_files(image, **decoding)
    labels = choose(data, index, Transform()).labels
    of_images = [f"-image-{word}.png" for word in distinct([file_word(each) for each in labels])]
    drawn = {"positions": position_figure, "filters": filter_figure}
    suffixes = [".nc", *of_images, *(f"-{what}.png" for what in drawn)]
    check_folder(output, file_names([stem("maps", [model])], suffixes))
    with plain_warnings():
        result = maps(
            model,
            data,
            index,
            layers=options.names("--layers", layers),
            image_size=image_size,
            mean=options.channels("--mean", mean),
            std=options.channels("--std", std),
            device=device,
            precision=precision,
            seed=seed,
        )
    writers = {".nc": netcdf}
    for place, suffix in enumerate(of_images):
        writers[suffix] = lambda result, place=place: png_bytes(figure(result, place))
    absent = []
    for what, draw in drawn.items():
        reason = result.attrs.get(ABSENT[what])
        if reason:
            absent.append(reason)
        else:
            writers[f"-{what}.png"] = lambda result, draw=draw: png_bytes(draw(result))
    paths = save([result], folder, writers)

    console = new_console()
    say_model(console, result.attrs, "model")
    sizes = result.sizes
    say(
        console,
        "data",
        f"{result.attrs['dataset']}: {sizes['image']} image{'s' if sizes['image'] > 1 else ''}, "
        f"{sizes['row']} x {sizes['col']} patches, attention of {QUERIES[result.attrs['query']]}",
    )
    for reason in absent:
        say(console, "", f"not drawn: {reason}")
    for path in paths:
        say(console, "wrote", str(path))
    say_random(console, [(result.attrs, "model")])
