"""Attention distance, patch mass and entropy of every head of vision transformers."""

import xarray as xr

from vitprobe.analyses.attention_pass import AttentionPass
from vitprobe.analyses.attention_result import model_dataset
from vitprobe.analyses.inputs import DataLike, Inputs, prepare
from vitprobe.analyses.progress import Bar, Progress
from vitprobe.analyses.provenance import (
    as_attribute,
    data_facts,
    device_name,
    model_facts,
    run_attributes,
)
from vitprobe.analyses.subjects import ModelLike
from vitprobe.analyses.timing import Stopwatch
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions, takes_inputs

BATCH = 64  # images, where nothing is said: no result depends on it


@takes_inputs(batch_size=BATCH)
def attention(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    inputs: InputOptions,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """How far, and how widely, every attention head of a model looks (Raghu et al. 2021).

    The attention matrices are reduced where they are computed, and never stored.

    Args:
        model: a model spec (`vit`, any timm name, ...), any module, or a dict with one of them
            under its label.
        data: a data set's name, a Dataset of (image, label), a DataLoader (its order and batches
            are kept), a float tensor or array (N, C, H, W), taken as it is, uint8 images as an
            array (N, H, W, 3), or an iterable of images.
        grid: rows and columns of patches (of the first stage of a hierarchy); None: found out.
        prefix: leading tokens that are no patches: class, registers; None: found out.
        patch_size: pixels (of the first stage of a hierarchy); None: found out.
        progress: show a progress bar.
        {inputs}

    Returns:
        Dataset with `distance` and `distance_raw` in pixels, `patch_mass` in 0..1 and `entropy` in
        nats, each (layer, head) float64, and standard errors over images (`distance_se`, ...). NaN
        where `blank` says why, or where a layer has fewer heads than another. Coordinates give
        every layer's grid and what uniform attention gives (`distance_uniform`, ...); layers that
        could not be read are in `left_out`; provenance and seconds are attributes.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    results = attention_of_models(
        prepare([model], data, inputs),
        grid=grid,
        prefix=prefix,
        patch_size=patch_size,
        progress=Bar() if progress else Progress(),
    )
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]


def attention_of_models(
    inputs: Inputs,
    *,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> list[xr.Dataset]:
    """The same for several models, which are shown the same images in one pass.

    Args:
        inputs: models and data, from `prepare`.
        grid, prefix, patch_size: as in `attention`, for all of the models.
        progress: is told of the layers, the Heads of each model, and of the batches.

    Returns:
        One Dataset for each distinct model (see `attention`), in their order.
    """
    watch = Stopwatch(inputs.device)
    options = {"grid": grid, "prefix": prefix, "patch_size": patch_size}
    images = AttentionPass(inputs, options, watch)
    with watch("other"), inputs.on_device(), progress or Progress() as told:
        images.run(told)
    attributes = {
        "examples": images.examples,
        "batches": int(images.heads[0].metric.batches),
        "device": device_name(inputs.device),
        **{f"seconds_{part}": round(value, 4) for part, value in watch.seconds().items()},
    }
    return [
        model_dataset(heads, run_attributes(facts) | attributes, images.notes)
        for heads, facts in zip(images.heads, attention_facts(inputs, **options), strict=True)
    ]


def attention_facts(inputs: Inputs, **tokens) -> list[dict]:
    """For each distinct model, what decides its numbers, as attributes of its result.

    tokens: grid, prefix and patch_size, as they were asked for.
    """
    asked = {f"{name}_asked": as_attribute(value) for name, value in tokens.items()}
    return [
        {"analysis": "attention", **model_facts("model", subject)} | data_facts(inputs) | asked
        for subject in inputs.subjects
    ]
