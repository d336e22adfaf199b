"""Norm ratio and cosine of skip connections and the branches beside them."""

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.skips_reader import SkipsReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = SkipsReader
BATCH = 64  # images, where nothing is said: no result depends on it


@takes_inputs(batch_size=BATCH)
def skips(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """How large skips are beside what is added to them (Raghu et al. 2021, Fig. 7).

    Of each residual sum z + f(z) that the model makes, found by what it does: |z| / |f(z)| and the
    cosine of z and f(z), of each token (of a map: at each position) over its channels.

    Args:
        model: a model spec (`vit`, any timm name, ...), any module, or a dict with one of them
            under its label.
        data: a data set's name, a Dataset of (image, label), a DataLoader (its order and batches
            are kept), a float tensor or array (N, C, H, W), taken as it is, uint8 images as an
            array (N, H, W, 3), or an iterable of images.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset with `ratio` and `cosine` (layer, group) float64, group one of `patches` (of a map
        every position), `cls` and `registers`: means over the tokens of an image, then over images,
        with standard errors over images (`ratio_se`, `cosine_se`). NaN where the layer has none of
        these tokens (`tokens` says how many), or where `blank` says why. `ratio_map` and
        `cosine_map` (layer, row, col): means over images at each patch; `kind` of a layer is
        attention, mlp or block; provenance and seconds are attributes.

    Raises:
        InputError: what was asked for cannot be done, or the model has no skips; one line says
            what to do.
    """
    results = run(
        prepare([model], data, InputOptions(**inputs)),
        [SkipsReader()],
        Bar() if progress else Progress(),
    )
    if len(results[0]) > 1:
        raise InputError(f"one model is looked at, not {len(results[0])}: call it for each")
    return results[0][0]
