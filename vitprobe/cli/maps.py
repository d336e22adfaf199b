"""`vitprobe maps`: where a vision transformer looks in single images."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli import _single_images as single
from vitprobe.input_options import SINGLE_IMAGES, InputOptions

ABSENT = {"positions": "no_position_similarity", "filters": "no_filters"}
QUERIES = {"class token": "the class token", "mean over queries": "all queries in the mean"}


@options.takes_inputs(only=SINGLE_IMAGES)
def command(
    model: Annotated[str, typer.Option(help=f"{options.MODELS}.", show_default=False)],
    *,
    inputs: InputOptions,
    image: single.Image = None,
    index: single.Index = None,
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
    report: options.Report = False,
) -> None:
    """Draw class-token attention and attention rollout over single images.

    Also the model's position embeddings and patch filters. Writes the numbers (.nc) and a figure
    (.png) for each image.

    Example: vitprobe maps --model vit --index 0
    """
    single.check_named(model, image, index)
    from vitprobe.analyses.maps import maps_facts, maps_of
    from vitprobe.analyses.pictures import prepare_pictures
    from vitprobe.cli._names import run_words
    from vitprobe.cli._output import ResultFiles, Writers, netcdf
    from vitprobe.cli._summary import new_console, say, say_model, say_random
    from vitprobe.cli._warned import plain_warnings

    writers = {".nc": netcdf}  # and of each image, when it is known which there are
    files = ResultFiles(output, Writers(writers), name=name, overwrite=overwrite, report=report)
    asked = {"layers": options.names("--layers", layers)}
    with plain_warnings():
        data, inputs = single.named_images(image, dataset, inputs)
        subject, chosen = prepare_pictures(model, data, index, inputs)
        figures, words = drawn(chosen.labels)
        writers |= figures
        words += run_words(inputs)
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


def drawn(labels: Sequence[str]) -> tuple[dict[str, Callable], list[str]]:
    """Suffix -> what writes that figure of a result of images with these labels; and what of them
    is in the files' names."""
    from vitprobe.figures.filters import filter_figure
    from vitprobe.figures.maps import figure
    from vitprobe.figures.positions import position_figure

    writers, words = single.of_each(labels, figure)
    for what, draw in (("positions", position_figure), ("filters", filter_figure)):
        writers[f"-{what}.png"] = single.unless(ABSENT[what], draw)
    return writers, words
