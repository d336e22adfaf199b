"""Attention distance, patch mass and entropy of every head of vision transformers."""

import torch
import xarray as xr

from vitprobe.analyses.attention_pass import AttentionPass
from vitprobe.analyses.attention_result import model_dataset
from vitprobe.analyses.inputs import DataLike, Inputs, ModelLike, prepare
from vitprobe.analyses.progress import progress_bar
from vitprobe.analyses.provenance import as_attribute, device_name
from vitprobe.analyses.timing import Stopwatch
from vitprobe.errors import InputError


def attention(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    batch_size: int = 64,
    examples: int | None = None,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """How far, and how widely, every attention head of a model looks (Raghu et al. 2021).

    The attention matrices are reduced where they are computed, and never stored.

    Args:
        model: a model spec (`vit`, any timm name, ...) or any module.
        data: a data set's name, a Dataset of (image, label), a DataLoader (its order and batches
            are kept), a float tensor or array (N, C, H, W), taken as it is, uint8 images as an
            array (N, H, W, 3), or an iterable of images.
        batch_size: images at a time; no result depends on it.
        examples: how many to use, from the front of the order; None: all.
        grid: rows and columns of patches (of the first stage of a hierarchy); None: found out.
        prefix: leading tokens that are no patches: class, registers; None: found out.
        patch_size: pixels (of the first stage of a hierarchy); None: found out.
        device: None or "auto": that of a given module, else CUDA where there is one.
        seed: of random weights and of the order.

    Returns:
        Dataset with `distance` and `distance_raw` in pixels, `patch_mass` in 0..1 and `entropy` in
        nats, each (layer, head) float64, and standard errors over images (`distance_se`, ...). NaN
        where `blank` says why, or where a layer has fewer heads than another. Coordinates give
        every layer's grid and what uniform attention gives (`distance_uniform`, ...); layers that
        could not be read are in `left_out`; provenance and seconds are attributes.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    inputs = prepare(
        [model], data, batch_size=batch_size, examples=examples, device=device, seed=seed
    )
    (result,) = attention_of_models(inputs, grid=grid, prefix=prefix, patch_size=patch_size)
    return result


def attention_of_models(
    inputs: Inputs,
    *,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    precision: str = "fp32",
    progress: bool = False,
) -> list[xr.Dataset]:
    """The same for several models, which are shown the same images in one pass.

    Args:
        inputs: models and data, from `prepare`.
        grid, prefix, patch_size: as in `attention`, for all of the models.
        precision: `fp32`, or `bf16`: the forward pass under autocast.
        progress: show a progress bar.

    Returns:
        One Dataset for each distinct model (see `attention`), in their order.
    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"unknown precision {precision!r}: use fp32 or bf16")
    watch = Stopwatch(inputs.device)
    options = {"grid": grid, "prefix": prefix, "patch_size": patch_size}
    images = AttentionPass(inputs, options, precision, watch)
    with watch("other"), inputs.on_device(), progress_bar(progress, inputs) as advance:
        images.run(advance)
    attributes = {
        "dataset": as_attribute(inputs.loader.name),
        "split": inputs.split,
        "examples": images.examples,
        "batch_size": inputs.loader.batch_size or 0,
        "batches": int(images.heads[0].metric.batches),
        "order": inputs.order,
        "seed": inputs.seed,
        "device": device_name(inputs.device),
        "dtype": precision,
        **{f"seconds_{part}": round(value, 4) for part, value in watch.seconds().items()},
    }
    return [model_dataset(heads, attributes, images.notes) for heads in images.heads]
