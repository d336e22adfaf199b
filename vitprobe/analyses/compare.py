"""Models against models: how alike they are by the best matches of their layers, and their map."""

from collections.abc import Mapping, Sequence

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.compare_parts import assembled, parts_of
from vitprobe.analyses.compare_reader import NULL, CompareReader
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike, OneModel, named_models

READER = CompareReader


@takes_inputs()
def compare(
    models: Sequence[ModelLike] | Mapping[str, OneModel],
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "blocks",
    tokens: str = "all",
    null: int = NULL,
    at_once: int | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """How alike some models are: a matrix, a dendrogram and a map, from one pass over the images.

    The similarity of two models is the mean over the layers of one of the CKA with their best match
    in the other, and the mean of that in both directions; a model with itself has 1. Unbiased
    linear CKA, as `vitprobe.cka` gives it, of the layers of all models in one stack.

    Args:
        models: two or more: a list of what `vitprobe.cka` takes, or a dict of them under their
            labels.
        data: as for `vitprobe.cka`. All models see the same images, each in its own size.
        layers: of every model, as for `vitprobe.cka`.
        tokens: `all` (flattened), `cls`, `patches` or `mean`.
        null: permutations of the examples that similarities are calibrated against; 0: none.
        at_once: models in memory at once, at most; where there are more, passes of so many until
            every pair has met (data must then come in the same order each time).
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset, float64: `similarity`, `similarity_se`, `matched` (one direction: of the layers of
        `model` in `model2`), `matched_se`, `distance` (1 - similarity), each (model, model2);
        with `null` also `calibrated`, `p_value`, `null_mean`, `null_line`. Standard errors are the
        jackknife's over groups of batches, the choice of matches included. `linkage` (merge,
        merge_column), `order` (model) and `position` (model, axis) of average linkage and classical
        scaling. Of the layers of all models (`site`): `best`, `best_se`, `match` (site, model2),
        and `alike` (site, site2) bool, which layers cannot be told from the best match. NaN where
        `blank` or `site_blank` says why. Provenance, seconds and `se_df` are attributes.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    if isinstance(models, str) or not isinstance(models, (Sequence, Mapping)):
        raise InputError("models are given as a list: vitprobe.compare(['vit@digits', 'vit'])")
    given: list[ModelLike] = [models] if isinstance(models, Mapping) else list(models)
    named = {one.label: one.model for one in named_models(given)}
    labels, options = list(named), InputOptions(**inputs)
    results = []
    for places in parts_of(len(labels), at_once):
        some: list[ModelLike] = [{labels[k]: named[labels[k]]} for k in places]
        some = given if len(places) == len(labels) else some
        reader, told = CompareReader(layers, tokens=tokens, null=null), Bar() if progress else None
        results += run(prepare(some, data, options), [reader], told or Progress())[0]
    return results[0] if len(results) == 1 else assembled(results, labels)
