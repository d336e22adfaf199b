"""What fine-tuning changes in a model, block by block (Raghu et al. 2021, appendix G)."""

from collections.abc import Mapping, Sequence

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.finetuning_reader import FinetuningReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike, OneModel

READER = FinetuningReader


@takes_inputs()
def finetuning(
    models: Sequence[ModelLike] | Mapping[str, OneModel],
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "blocks",
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """How similar each block of some checkpoints is to the same block of the first of them.

    Unbiased linear CKA, as `vitprobe.cka` gives it for the layer with itself in two models; and
    attention distance, as `vitprobe.attention`, of each checkpoint. All in one pass.

    Args:
        models: two or more of one architecture, before and after fine-tuning, or a series of
            epochs: a list of what `vitprobe.cka` takes, or a dict of them under their labels.
        data: as for `vitprobe.cka`.
        layers: of the first model, as for `vitprobe.cka`; those of the same names of the others.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `cka` and `cka_se` (checkpoint, layer), NaN where `blank` says why; the
        first checkpoint is in it, with 1. Of models with attention also `distance` and
        `distance_se` (checkpoint, attention_layer), the mean over a layer's heads, in pixels, NaN
        where `attention_blank` says why. Coordinates give spec and SHA-256 of the weights of every
        checkpoint; provenance, seconds and `se_df` (degrees of freedom of Student's t) are
        attributes.

    Raises:
        InputError: fewer than two models, or models of other blocks; one line says which differ.
    """
    if isinstance(models, str) or not isinstance(models, (Sequence, Mapping)):
        raise InputError("models are given as a list: vitprobe.finetuning(['vit@digits', 'vit'])")
    given: list[ModelLike] = [models] if isinstance(models, Mapping) else list(models)
    told = Bar() if progress else Progress()
    return run(prepare(given, data, InputOptions(**inputs)), [FinetuningReader(layers)], told)[0][0]
