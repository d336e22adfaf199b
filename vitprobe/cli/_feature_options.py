"""`--features`: files in the place of models and images."""

from collections.abc import Sequence

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions

_OF_IMAGES = (
    *("split", "data_dir", "image_size", "mean", "std", "max_pixels", "ignore_orientation"),
    *("skip_bad_images", "precision", "workers"),
)


def feature_files(
    features: Sequence[str] | None, more: Sequence[str] | None, models: str | None
) -> list[str]:
    """The files, one for each; [] where models were given instead.

    more: what follows the first of them without a comma.

    Raises:
        InputError: both or neither were given, or a name stands where none belongs.
    """
    if not features:
        if more:
            raise InputError(f"{more[0]!r} stands alone: --models or --features goes before it")
        if models is None:
            raise InputError(
                "nothing to compare: give --models, such as vit@digits,resnet20@digits, or "
                "--features with files of activations"
            )
        return []
    if models is not None:
        raise InputError("--features takes the place of --models: give one of them")
    texts = [*features, *(more or ())]
    return [name for text in texts for name in options.names("--features", text)]


def check_no_images(inputs: InputOptions, dataset: str, tokens: str) -> None:
    """What is said of images has no effect on activations that are there already.

    Raises:
        InputError: something is.
    """
    idle = [f"--{name.replace('_', '-')}" for name in inputs.changed(*_OF_IMAGES)]
    idle += ["--dataset"] * (dataset != "digits") + ["--tokens"] * (tokens != "all")
    if idle:
        raise InputError(
            f"{idle[0]} has no effect on --features, which takes no images: leave it out"
        )
