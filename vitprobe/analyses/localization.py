"""Do tokens of the last layers stay with their place in the image? Raghu et al. 2021, section 6."""

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.localization_places import TokenChoice
from vitprobe.analyses.localization_reader import LocalizationReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = LocalizationReader


@takes_inputs()
def localization(
    model: ModelLike,
    data: DataLike = "digits",
    layer: str | None = None,
    tokens: TokenChoice = None,
    *,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """CKA of single tokens with the pixels of every patch of the image (Raghu et al. 2021).

    A token is (n, features) over the images of a batch, of a convolutional network all channels at
    one position; a patch (n, pixels), all channels, as the model sees them. Their unbiased linear
    CKA is summed over batches as in `vitprobe.cka`; no activation is kept.

    Args:
        model: a model spec (`vit`, any timm name, ...), any module, or a dict with one of them
            under its label.
        data: as for `vitprobe.cka`.
        layer: whose output; None: the last block's.
        tokens: rows and columns in the grid of tokens, from 0: `[(0, 0), (2, 3)]` or
            `"0,0;2,3"`; None: all.
        grid: rows and columns of patches (of the first stage of a hierarchy); None: found out.
        prefix: leading tokens that are no patches: class, registers; None: found out.
        patch_size: pixels (of the first stage of a hierarchy); None: found out.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `cka`, `cka_se` (token_row, token_col, row, col), of the tokens' grid, or
        of the rows and columns of those chosen, with the grid of patches; NaN where `blank_token`
        or `blank_patch` says why. `cka_cls`, `cka_cls_se` (row, col) of the class token, where
        there is one. Scalars: `own_place`, the share of tokens whose most similar patch is their
        own, and `mean_distance` in patches from a token to its most similar patch;
        `own_place_chance` and `mean_distance_chance` of patches drawn at random; `counted`, the
        tokens that these rest on. Provenance and seconds are attributes.

    Raises:
        InputError: no such layer or tokens, a layer without tokens or with a single one, or what
            was asked for cannot be done; one line says what to do.
    """
    reader = LocalizationReader(layer, tokens, grid, prefix, patch_size)
    results = run(
        prepare([model], data, InputOptions(**inputs)), [reader], Bar() if progress else Progress()
    )[0]
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]
