"""Attention distance, patch mass and entropy of every head of vision transformers."""

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = AttentionReader
BATCH = 64  # images, where nothing is said: no result depends on it


@takes_inputs(batch_size=BATCH)
def attention(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
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
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
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
    reader = AttentionReader(grid, prefix, patch_size)
    results = run(
        prepare([model], data, InputOptions(**inputs)), [reader], Bar() if progress else Progress()
    )[0]
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]
