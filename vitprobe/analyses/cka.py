"""CKA of every layer of some models with every layer of the others, in one pass over the images."""

from collections.abc import Sequence

import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.cka_measures import CKAMeasuresReader, reader_of_measures
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.measures_result import compared
from vitprobe.errors import InputError
from vitprobe.input_options import ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, Inputs, prepare
from vitprobe.passes.progress import Progress
from vitprobe.passes.run import run
from vitprobe.passes.subjects import ModelLike, named_models

READER = CKAMeasuresReader  # without other measures it is CKAReader


@takes_inputs()
def cka(
    model_a: ModelLike,
    model_b: ModelLike | None = None,
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "all",
    layers_b: LayerSpec | None = None,
    tokens: str | Sequence[str] = "all",
    passes: int = 1,
    estimator: str = "unbiased",
    kernel: str = "linear",
    null: int | None = None,
    measure: str | Sequence[str] = "cka",
    defer_bytes: int | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> xr.Dataset:
    """Similarity of every layer of one model with every layer of another (or of itself).

    Centred kernel alignment (Kornblith et al. 2019) with the unbiased HSIC of Song et al. 2012,
    summed over batches (Nguyen et al. 2020). Activations are reduced inside the forward pass.

    Args:
        model_a: a model spec (`vit`, `resnet18@weights.pth`, any timm name, ...), any module, or a
            dict with one or two of them under their labels: `{"early": "vit@early.pt", ...}`.
        model_b: the model to compare with; None compares model_a with itself.
        data: a data set's name, a Dataset of (image, label), a DataLoader (its order and batches
            are kept; each model gets what its forward takes of them), a float tensor or array
            (N, C, H, W), taken as it is, uint8 images as an array (N, H, W, 3), or an iterable of
            images.
        layers: `all` (every distinct activation), `modules` (every site that fires), `blocks`, a
            name, a glob, a type, or a list of them.
        layers_b: the same for model_b, or for the columns of one model; None: as `layers`.
        tokens: `all` (flattened), `cls`, `patches` or `mean`; or one for each model.
        passes: times through the examples, each in a new order.
        estimator: `unbiased`, or `biased`, whose result depends on the batch size.
        kernel: `linear`, `rbf` or `rbf:FRACTION` (sigma = FRACTION sqrt(median squared distance)).
        null: permutations of each batch's examples that say what similarity is by chance, at least
            19; None: none.
        measure: other measures of the same forward beside `cka`, or instead of it: `cka,rsa` or a
            list, as for `vitprobe.similarity`; the result has a variable for each, `NAME_se`, and
            `NAME_blank_a`, `NAME_blank_b` (docs/measures.md).
        defer_bytes: activations that may be held inside a forward, to be reduced many at once or
            beside it, where VITPROBE_SCHEDULE says so (`vitprobe info`); None: 1/32 of a GPU's
            memory, on a CPU 0.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        Dataset with `cka`, `cka_se`, `hsic`: (layer_a, layer_b) float64, NaN where blank_a or
        blank_b says why; the layers that were left out or folded into another, with the reason;
        with two models also `cka_aa`, `cka_se_aa`, `cka_bb`, `cka_se_bb`, each against itself;
        with `null` also `null_mean`, `null_line`, `p_value`, `calibrated`, (layer_a, layer_b), and
        `null_line_best_a`, `p_value_best_a`, ..., of best matches (docs/null.md);
        provenance, seconds and `se_df` (degrees of freedom of Student's t) as attributes.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    named = named_models([model_a] if model_b is None else [model_a, model_b])
    if len(named) > 2:
        raise InputError(f"two models are compared, not {len(named)}: call it for each pair")
    models = [{one.label: one.model} for one in named] * (1 if len(named) == 2 else 2)
    images = prepare(models, data, InputOptions(**inputs), passes=passes)
    reader = reader_of_measures(
        measure,
        layers_of_each=[layers, layers if layers_b is None else layers_b],
        tokens=tokens,
        estimator=estimator,
        kernel=kernel,
        null=null,
        defer_bytes=defer_bytes,
    )
    return compared_pair(images, reader, progress)


def compared_pair(inputs: Inputs, reader: CKAReader, progress: bool) -> xr.Dataset:
    """The result of two models, with each against itself beside it; or that of one."""
    results = run(inputs, [reader], Bar() if progress else Progress())[0]
    if len(results) == 1:
        return results[0]
    result, *own = results
    for side, within in zip("ab", own, strict=True):
        dims = (f"layer_{side}", f"layer_{side}2")
        for name in compared(within):
            result[f"{name}_{side * 2}"] = (dims, within[name].values)
        result = result.assign_coords({dims[1]: within["layer_b"].values})
    return result
