"""Why a map of CKA shows blocks: the few examples that dominate layers, and the map without them.

Nguyen, Raghu and Kornblith 2022, "On the Origins of the Block Structure Phenomenon in Neural
Network Representations" (arXiv 2202.07184).
"""

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.dominant_reader import DROP, TOP, DominantReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike

READER = DominantReader


@takes_inputs()
def dominant(
    model: ModelLike,
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "blocks",
    drop: float = DROP,
    top: int = TOP,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """Which examples dominate a model's layers, and CKA of its layers with and without them.

    Of a batch of n examples, layer l's activations less their mean over the batch are X (n, p). The
    first principal component has the share l_1 / trace(X X^T) of their variance, l_1 the largest
    eigenvalue. An example's relative norm is |x_i|^2 / mean_j |x_j|^2, its score the mean of that
    over layers. Both depend on the batch: the share falls a little as batches grow.

    Args:
        model: a model spec, any module, or a dict with one of them under its label.
        data: as for `vitprobe.cka`.
        layers: as for `vitprobe.cka`; `all` for every distinct activation.
        drop: share of each batch that `cka_without` leaves out, those with the highest scores, 0 to
            0.5; who scores above 4 times the batch's median is left out in any case.
        top: how many of the examples with the highest scores are told.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64 unless said: `first_share`, `first_share_se` (layer), mean over batches,
        each as heavy as it has examples;
        `examples` (rank), int64, numbers of the examples with the highest scores, from 0 in stored
        order, with their `score`, their `label` (int64; -1: not known) and `thumbnail` (rank, y, x,
        rgb) uint8, as the model sees it, normalisation undone;
        `layer_example` (layer), int64, the one example with the largest relative norm at that
        layer, `layer_norm`;
        `cka`, `cka_se` (layer_a, layer_b), unbiased, as `vitprobe.cka` gives it, and `cka_without`,
        `cka_without_se`. NaN where `blank` (of `cka_without`: `blank_without`) says why.

    Raises:
        InputError: what was asked for cannot be done, or no batch has 8 examples.
    """
    reader = DominantReader(layers, drop=drop, top=top)
    results = run(
        prepare([model], data, InputOptions(**inputs)), [reader], Bar() if progress else Progress()
    )[0]
    if len(results) > 1:
        raise InputError(f"one model is looked at, not {len(results)}: call it for each")
    return results[0]
