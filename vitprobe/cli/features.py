"""`vitprobe features`: feature maps of single images, as the network computes them."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli import _single_images as single
from vitprobe.input_options import SINGLE_IMAGES, InputOptions

_LAYERS = "Layers"
_TOLD = 5  # layers that are left out, with their reasons


@options.takes_inputs(only=SINGLE_IMAGES)
def command(
    model: Annotated[str, typer.Option(help=f"{options.MODELS}.", show_default=False)],
    *,
    inputs: InputOptions,
    image: single.Image = None,
    index: single.Index = None,
    dataset: options.Dataset = "digits",
    layers: Annotated[
        str | None,
        typer.Option(
            help="all, modules, blocks, names, globs or types, with commas, as for vitprobe cka "
            "(default: where stages end: the stem, every block, the last map before the pooling).",
            rich_help_panel=_LAYERS,
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option(
            help="Channels of each layer: those with the largest mean absolute activation.",
            rich_help_panel=_LAYERS,
            metavar="K",
        ),
    ] = 8,
    output: options.Output = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
    report: options.Report = False,
) -> None:
    """Draw the feature maps of single images, as the network computes them.

    Of each layer the mean over channels and the channels that respond most; and the filters of the
    first convolution. Writes the numbers (.nc) and a figure (.png) for each image.

    Example: vitprobe features --model resnet20@digits --index 3
    """
    single.check_named(model, image, index)
    from vitprobe.analyses.features import features_facts, features_of
    from vitprobe.analyses.pictures import prepare_pictures
    from vitprobe.cli._names import run_words
    from vitprobe.cli._output import ResultFiles, Writers, netcdf
    from vitprobe.cli._summary import new_console, say, say_model, say_random
    from vitprobe.cli._warned import plain_warnings

    writers = {".nc": netcdf}  # and of each image, when it is known which there are
    files = ResultFiles(output, Writers(writers), name=name, overwrite=overwrite, report=report)
    asked = {"layers": layers and options.names("--layers", layers), "top": top}
    with plain_warnings():
        data, inputs = single.named_images(image, dataset, inputs)
        subject, chosen = prepare_pictures(model, data, index, inputs)
        figures, words = drawn(chosen.labels)
        writers |= figures
        words += run_words(inputs)
        files.settle([features_facts(subject, chosen, inputs, **asked)], words)
        result = features_of(subject, chosen, inputs, **asked)
        paths = files.save([result])

    console = new_console()
    say_model(console, result.attrs, "model")
    sizes = result.sizes
    images = f"{sizes['image']} image{'s' if sizes['image'] > 1 else ''}"
    kept = f"the mean and the {sizes['rank']} strongest channels of each"
    say(console, "data", f"{result.attrs['dataset']}: {images}")
    say(console, "layers", f"{sizes['layer']}: {kept}")
    left_out = list(zip(result["left_out"].values, result["left_out_reason"].values, strict=True))
    for layer, reason in left_out[:_TOLD]:
        say(console, "", f"left out: {layer}: {reason}")
    if len(left_out) > _TOLD:
        say(console, "", f"left out: {len(left_out) - _TOLD} more (left_out of the result)")
    if reason := result.attrs.get("no_filters"):
        say(console, "", f"not drawn: {reason}")
    for path in paths:
        say(console, "wrote", str(path))
    say_random(console, [(result.attrs, "model")])


def drawn(labels: Sequence[str]) -> tuple[dict[str, Callable], list[str]]:
    """Suffix -> what writes that figure of a result of images with these labels; and what of them
    is in the files' names."""
    from vitprobe.figures.features import figure
    from vitprobe.figures.filters import filter_figure

    writers, words = single.of_each(labels, figure)
    return writers | {"-filters.png": single.unless("no_filters", filter_figure)}, words
