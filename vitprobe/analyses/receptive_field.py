"""Effective receptive fields: which pixels the centre of each layer depends on."""

from collections.abc import Sequence, Sized
from dataclasses import replace

import xarray as xr
from torch import nn
from typing_extensions import Unpack

from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, opened, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = ReceptiveFieldReader
EXAMPLES = 32  # of a named data set, as in the paper: each costs a backward pass for each layer


@takes_inputs(usual={"examples": f"{EXAMPLES} of a named data set"})
def receptive_field(
    model: ModelLike,
    data: DataLike = "digits",
    layers: str | type[nn.Module] | Sequence[str | type[nn.Module]] | None = None,
    residual: str = "post",
    convention: str = "raghu",
    *,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """Effective receptive field of each layer (Luo et al. 2016; Raghu et al. 2021, figure 6).

    Of the position in the middle of a layer's grid, (rows // 2, columns // 2): the absolute
    gradient of the mean of its channels with respect to the image, mean over the image's channels
    and over images, divided by its sum.

    Args:
        model: a model spec (`vit`, any timm name, ...), any module, or a dict with one of them
            under its label.
        data: as for `vitprobe.attention`; of a data set's name the first 32 examples, where
            `examples` says nothing else.
        layers: as for `vitprobe.cka`; None: the blocks and, of transformers, each residual sum
            (attention and MLP apart). A name that is a residual sum's (`blocks.0.attn`) means the
            sum.
        residual: `post`: the value after a residual sum; `pre`: the long branch alone, before it
            enters the sum.
        convention: `raghu`, `replknet` or `openerf`.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `map` (layer, row, col), which sums to 1; (layer,): `centre`, its value at
        the pixel of the centre (mean of the nearest ones, where that lies between pixels); `r50`
        and `r90`, the smallest distances in pixels from there within which at least 50 and 90 % of
        the map lie; `area`, pixels above 1 % of the largest; standard errors over images of all but
        the area (`centre_se`, ...); `box`, side of what kernels can reach, NaN where `no_box` says
        why. With `replknet` also `square` (layer, share). Coordinates: `rows`, `columns` of each
        layer's grid, `place_row`, `place_col` (the position taken), `point_row`, `point_col` (the
        pixel that it stands for), `kind`, `twin` (the layer whose very tensor it is), `covers`,
        `blank` (why a layer is NaN). Layers without positions are in `left_out`.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    reader = ReceptiveFieldReader(layers, residual, convention)
    options = few(data, InputOptions(**inputs))
    results = run(prepare([model], data, options), [reader], Bar() if progress else Progress())[0]
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]


def few(data: DataLike, options: InputOptions) -> InputOptions:
    """The options; where they do not say how many examples of a named data set, with `EXAMPLES`, or
    as many as it has.

    Raises:
        InputError: data that cannot be had.
    """
    if options.examples is not None or not isinstance(data, str):
        return options
    named = opened(data, options)
    there = len(named) if isinstance(named, Sized) else EXAMPLES
    return options if there < EXAMPLES else replace(options, examples=EXAMPLES)
