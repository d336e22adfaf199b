"""Which heads of a vision transformer are like early layers of another model: local or global?

Raghu et al. 2021 (arXiv 2108.08810), figure 5.
"""

from collections.abc import Sequence

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = HeadSubsetsReader


@takes_inputs()
def head_subsets(
    model: ModelLike,
    other: ModelLike | None = None,
    data: DataLike = "digits",
    *,
    layer: str | None = None,
    sizes: Sequence[int] | None = None,
    layers: LayerSpec | None = None,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """CKA of neighbouring heads of one layer with early layers of another model.

    The heads are put in order of their mean attention distance. The outputs (softmax(qk) v, all
    tokens) of each k heads that follow one another in this order are taken together, and compared
    by unbiased CKA, summed over batches as in `vitprobe.cka`.

    Args:
        model: a model spec, or a module, with attention over the whole image; or a dict of this and
            the other under their labels.
        other: the model to compare with; it sees the same images.
        data: as for `vitprobe.cka`.
        layer: an attention module, or its block (`blocks.3`); None: the first.
        sizes: numbers k of heads; None: 1, 2, 4, ... below the number of heads.
        layers: of the other model, as for `vitprobe.cka`; None: the outputs of its first 4 blocks.
        grid, prefix, patch_size: rows and columns of patches, tokens before them, pixels of a
            patch; None: read from the model.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `cka`, `cka_se` (subset, layer), NaN where `blank_subset` or
        `blank_layer` says why; `distance` (subset), the mean distance of its heads in pixels;
        `size` and `heads` (subset), how many and which, as `0, 3`; `head_distance` (head), mean
        over images and queries of the distance of the attention that patches get.

    Raises:
        InputError: no attention over the whole image, one whose values cannot be read, or a
            layer or size that is not there.
    """
    both = [model] if other is None else [model, other]
    reader = HeadSubsetsReader(layer, sizes, layers, grid, prefix, patch_size)
    told = Bar() if progress else Progress()
    return run(prepare(both, data, InputOptions(**inputs)), [reader], told)[0][0]
