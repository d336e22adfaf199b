"""CKA of every layer of some models with every layer of the others, in one pass over the images."""

from collections.abc import Sequence
from itertools import combinations

import torch
import xarray as xr

from vitprobe.analyses.cka_pass import Pass
from vitprobe.analyses.cka_result import pair_dataset
from vitprobe.analyses.inputs import DataLike, Inputs, ModelLike, prepare, say
from vitprobe.analyses.progress import progress_bar
from vitprobe.analyses.provenance import as_attribute, device_name
from vitprobe.analyses.timing import Stopwatch
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.kernels import vectoriser

LayerSpec = str | type | Sequence[str | type]


def cka(
    model_a: ModelLike,
    model_b: ModelLike | None = None,
    data: DataLike = "digits",
    *,
    layers: LayerSpec = "all",
    layers_b: LayerSpec | None = None,
    tokens: str = "all",
    batch_size: int | None = None,
    examples: int | None = None,
    passes: int = 1,
    order: str = "seeded",
    estimator: str = "unbiased",
    kernel: str = "linear",
    device: str | torch.device | None = None,
    defer_bytes: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """Similarity of every layer of one model with every layer of another (or of itself).

    Centred kernel alignment (Kornblith et al. 2019) with the unbiased HSIC of Song et al. 2012,
    summed over batches (Nguyen et al. 2020). Activations are reduced inside the forward pass.

    Args:
        model_a: a model spec (`vit`, `resnet18@weights.pth`, any timm name, ...) or any module.
        model_b: the model to compare with; None compares model_a with itself.
        data: a data set's name, a Dataset of (image, label), a DataLoader (its order and batches
            are kept; each model gets what its forward takes of them), a float tensor or array
            (N, C, H, W), taken as it is, uint8 images as an array (N, H, W, 3), or an iterable of
            images.
        layers: `all` (every distinct activation), `modules` (every site that fires), `blocks`, a
            name, a glob, a type, or a list of them.
        layers_b: the same for model_b, or for the columns of one model; None: as `layers`.
        tokens: `all` (flattened), `cls`, `patches` or `mean`.
        batch_size: None: min(256, max(32, examples // 8)).
        examples: how many to use, from the front of the order; None: all.
        passes: times through the examples, each in a new order.
        order: `seeded` (one permutation for all models) or `file`.
        estimator: `unbiased`, or `biased`, whose result depends on the batch size.
        kernel: `linear`, `rbf` or `rbf:FRACTION` (sigma = FRACTION sqrt(median squared distance)).
        device: None or "auto": that of a given module, else CUDA where there is one.
        defer_bytes: activations that may be held inside a forward, to be reduced many at once or
            beside it, where VITPROBE_SCHEDULE says so (`vitprobe info`); None: 1/32 of a GPU's
            memory, on a CPU 0.
        seed: of random weights and of the order.
        progress: show a progress bar.

    Returns:
        Dataset with `cka`, `cka_se`, `hsic`: (layer_a, layer_b) float64, NaN where blank_a or
        blank_b says why; the layers that were left out or folded into another, with the reason;
        with two models also `cka_aa`, `cka_se_aa`, `cka_bb`, `cka_se_bb`, each against itself;
        provenance, seconds and `se_df` (degrees of freedom of Student's t) as attributes.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    inputs = prepare(
        [model_a, model_a if model_b is None else model_b],
        data,
        batch_size=batch_size,
        examples=examples,
        passes=passes,
        order=order,
        device=device,
        seed=seed,
    )
    results = cka_pairs(
        inputs,
        [layers, layers if layers_b is None else layers_b],
        tokens=tokens,
        estimator=estimator,
        kernel=kernel,
        defer_bytes=defer_bytes,
        progress=progress,
    )
    if len(results) == 1:
        return results[0]
    result, *own = results
    for side, within in zip("ab", own, strict=True):
        dims = (f"layer_{side}", f"layer_{side}2")
        for name in ("cka", "cka_se"):
            result[f"{name}_{side * 2}"] = (dims, within[name].values)
        result = result.assign_coords({dims[1]: within["layer_b"].values})
    return result


def cka_pairs(
    inputs: Inputs,
    layers: Sequence[LayerSpec],
    *,
    tokens: str = "all",
    estimator: str = "unbiased",
    kernel: str = "linear",
    precision: str = "fp32",
    defer_bytes: int | None = None,
    progress: bool = False,
) -> list[xr.Dataset]:
    """Every pair of the models, then each model against itself, from one pass over the images.

    Args:
        inputs: models and data, from `prepare`.
        layers: one selection for each model given to `prepare`.
        precision: `fp32`, or `bf16`: the forward pass under autocast.
        defer_bytes: see `cka`.

    Returns:
        One Dataset per pair (see `cka`): (0, 1), (0, 2), ..., then (0, 0), (1, 1), ...; a model
        given twice with the same layers counts once.
    """
    if precision not in ("fp32", "bf16"):
        raise InputError(f"unknown precision {precision!r}: use fp32 or bf16")
    if defer_bytes is not None and defer_bytes < 0:
        raise InputError(f"defer_bytes must not be negative: {defer_bytes}")
    vectoriser(kernel, estimator)  # wrong words are refused before any work
    watch = Stopwatch(inputs.device)
    images = Pass(
        inputs,
        layers,
        tokens,
        lambda sites: CKA(sites, kernel=kernel, estimator=estimator, passes=inputs.loader.passes),
        precision,
        defer_bytes,
        watch,
    )
    with watch("other"), inputs.on_device(), progress_bar(progress, inputs) as advance:
        images.run(advance)
    if estimator == "biased":
        say(images.notes, "biased CKA depends on the batch size")
    attributes = {
        "dataset": as_attribute(inputs.loader.name),
        "split": inputs.split,
        "examples": images.examples // inputs.loader.passes,
        "batch_size": inputs.loader.batch_size or 0,
        "batches": int(images.metric.batches),
        "passes": inputs.loader.passes,
        "order": inputs.order,
        "estimator": estimator,
        "kernel": kernel,
        "tokens": tokens,
        "seed": inputs.seed,
        "device": device_name(inputs.device),
        "dtype": precision,
        "notes": "\n".join(images.notes),
        **{f"seconds_{part}": round(value, 4) for part, value in watch.seconds().items()},
    }
    result = images.metric.compute()
    described = images.described()
    count = len(described)
    pairs = [*combinations(range(count), 2), *((i, i) for i in range(count))]
    return [pair_dataset(described[i], described[j], result, attributes) for i, j in pairs]
