"""`vitprobe maps`: where a vision transformer looks in single images."""

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions

ABSENT = {"positions": "no_position_similarity", "filters": "no_filters"}
QUERIES = {"class token": "the class token", "mean over queries": "all queries in the mean"}


@options.takes_inputs(
    only=(
        *("split", "data_dir", "image_size", "mean", "std", "max_pixels", "ignore_orientation"),
        *("device", "precision", "seed"),
    )
)
def command(
    model: Annotated[str, typer.Option(help=f"{options.MODELS}.", show_default=False)],
    *,
    inputs: InputOptions,
    image: Annotated[
        str | None,
        typer.Option(
            help="An image file, or a folder of images.",
            rich_help_panel=options.IMAGES,
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        int | None,
        typer.Option(
            help="The N-th image of --dataset, counted from 0 in stored order.",
            rich_help_panel=options.IMAGES,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    dataset: options.Dataset = "digits",
    layers: Annotated[
        str,
        typer.Option(
            help="all (the figure shows the first, middle and last), or blocks (blocks.3), names "
            "of attention modules and globs, with commas.",
            rich_help_panel="Layers",
        ),
    ] = "all",
    output: options.Output = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw class-token attention and attention rollout over single images.

    Also the model's position embeddings and patch filters. Writes the numbers (.nc) and a figure
    (.png) for each image.

    Example: vitprobe maps --model vit --index 0
    """
    if (image is None) == (index is None):
        raise InputError("give the image: either --image FILE (or a folder) or --index N")
    from vitprobe.analyses.maps import maps_facts, maps_of, prepare_maps
    from vitprobe.cli._names import run_words
    from vitprobe.cli._output import ResultFiles, Writers, netcdf
    from vitprobe.cli._summary import new_console, say, say_model, say_random
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.data import image_files
    from vitprobe.figures import png_bytes
    from vitprobe.figures.filters import filter_figure
    from vitprobe.figures.maps import figure
    from vitprobe.figures.positions import position_figure
    from vitprobe.file_names import distinct, file_word

    writers = {".nc": netcdf}  # and of each image, when it is known which there are
    files = ResultFiles(output, Writers(writers), name=name, overwrite=overwrite)
    asked = {"layers": options.names("--layers", layers)}
    with plain_warnings():
        data = dataset
        if image is not None:
            how = {key: getattr(inputs, key) for key in ("max_pixels", "ignore_orientation")}
            data = image_files(image, **how)
            inputs = replace(inputs, max_pixels=None, ignore_orientation=False)  # it has them now
        subject, chosen = prepare_maps(model, data, index, inputs)
        of_images = distinct([file_word(f"image-{label}") for label in chosen.labels])
        for place, word in enumerate(of_images):
            suffix = ".png" if len(of_images) == 1 else f"-{word}.png"
            writers[suffix] = lambda result, place=place: png_bytes(figure(result, place))
        for what, draw in (("positions", position_figure), ("filters", filter_figure)):
            writers[f"-{what}.png"] = partial(_drawn, draw, ABSENT[what])
        words = [*of_images, *run_words(inputs)] if len(of_images) == 1 else run_words(inputs)
        files.settle([maps_facts(subject, chosen, inputs, **asked)], words)
        result = maps_of(subject, chosen, inputs, **asked)
        paths = files.save([result])

    console = new_console()
    say_model(console, result.attrs, "model")
    sizes = result.sizes
    say(
        console,
        "data",
        f"{result.attrs['dataset']}: {sizes['image']} image{'s' if sizes['image'] > 1 else ''}, "
        f"{sizes['row']} x {sizes['col']} patches, attention of {QUERIES[result.attrs['query']]}",
    )
    for reason in filter(None, map(result.attrs.get, ABSENT.values())):
        say(console, "", f"not drawn: {reason}")
    for path in paths:
        say(console, "wrote", str(path))
    say_random(console, [(result.attrs, "model")])


def _drawn(draw, absent: str, result) -> bytes | None:
    """The figure, or None where the model lacks what it shows."""
    from vitprobe.figures import png_bytes

    return None if result.attrs.get(absent) else png_bytes(draw(result))
