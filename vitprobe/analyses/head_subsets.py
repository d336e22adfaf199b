"""Which heads of a vision transformer are like early layers of another model: local or global?

Raghu et al. 2021 (arXiv 2108.08810), figure 5.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from torch import Tensor

from vitprobe.analyses.batches import batches, leading
from vitprobe.analyses.cka import LayerSpec
from vitprobe.analyses.global_attention import choose_layers, global_attention
from vitprobe.analyses.head_pass import HeadPass, mean_distances
from vitprobe.analyses.inputs import DataLike, Inputs, prepare, say, survey_named
from vitprobe.analyses.progress import Bar, Progress
from vitprobe.analyses.provenance import (
    as_attribute,
    data_facts,
    device_name,
    model_facts,
    run_attributes,
    strings,
    versions,
)
from vitprobe.analyses.subjects import ModelLike
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.model_input import ModelInput, image_of
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions, takes_inputs
from vitprobe.taps import Selection, select
from vitprobe.taps.attention import AttentionSite
from vitprobe.taps.token_grid import token_grid

EARLY = 4  # blocks of the other model, unless others are asked for


@takes_inputs()
def head_subsets(
    model: ModelLike,
    other: ModelLike | None = None,
    data: DataLike = "digits",
    *,
    inputs: InputOptions,
    layer: str | None = None,
    sizes: Sequence[int] | None = None,
    layers: LayerSpec | None = None,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """CKA of neighbouring heads of one layer with early layers of another model.

    The heads are put in order of their mean attention distance. The outputs (softmax(qk) v, all
    tokens) of each k heads that follow one another in this order are taken together, and compared
    by unbiased CKA, summed over batches as in `vitprobe.cka`.

    Args:
        model: a model spec, or a module, with attention over the whole image; or a dict of this and
            the other under their labels.
        other: the model to compare with; it sees the same images.
        data: as for `vitprobe.cka`. It is gone through twice, first for the distances.
        layer: an attention module, or its block (`blocks.3`); None: the first.
        sizes: numbers k of heads; None: 1, 2, 4, ... below the number of heads.
        layers: of the other model, as for `vitprobe.cka`; None: the outputs of its first 4 blocks.
        grid, prefix, patch_size: rows and columns of patches, tokens before them, pixels of a
            patch; None: read from the model.
        progress: show a progress bar.
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
    return head_subsets_of(
        prepare(both, data, inputs),
        layer=layer,
        sizes=sizes,
        layers=layers,
        grid=grid,
        prefix=prefix,
        patch_size=patch_size,
        progress=Bar() if progress else Progress(),
    )


def head_subsets_of(
    inputs: Inputs,
    *,
    layer: str | None = None,
    sizes: Sequence[int] | None = None,
    layers: LayerSpec | None = None,
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """`head_subsets` of two models and images from `prepare`.

    progress: is told of the layers, (AttentionSite, Selection), and of the batches, which come
    twice.

    Raises:
        InputError: as `head_subsets`; or not two models.
    """
    if len(inputs.places) != 2:
        raise InputError(f"two models are compared, not {len(inputs.places)}")
    autocast = inputs.autocast
    first, second = (inputs.subjects[place] for place in inputs.places)
    watch = Stopwatch(inputs.device)
    facts = head_subsets_facts(
        inputs,
        layer=layer,
        sizes=sizes,
        layers=layers,
        grid=grid,
        prefix=prefix,
        patch_size=patch_size,
    )
    with watch("other"), inputs.on_device(), progress or Progress() as told:
        few, _ = leading(batches(inputs, watch))
        images = [few[place] for place in inputs.places]
        with autocast:
            site = _chosen_site(first.model, first.label, images[0], layer)
            compared = _early(second.model, second.label, images[1], layers)
        sites = compared.sites
        tokens = token_grid(
            first.model,
            site.tokens,
            tuple(image_of(images[0]).shape[2:]),
            grid=grid,
            prefix=prefix,
            patch_size=patch_size,
        )
        subsets_of = _subset_sizes(site, sizes)
        told.begin(inputs, (site, compared), times=2)
        distances = mean_distances(inputs, site, tokens, autocast, watch, told)
        order = distances.argsort(stable=True).tolist()
        subsets = [
            order[start : start + k] for k in subsets_of for start in range(len(order) - k + 1)
        ]
        heads = HeadPass(inputs, site, subsets, sites, autocast, watch)
        if compared.note:
            say(heads.notes, f"{second.label}: {compared.note}")
        heads.run(told)
    result = heads.metric.compute()
    shape = (len(subsets), len(sites))
    blank_subset, blank_layer = heads.metric.blanks()
    blank_layer = [
        heads.silent.get(other.name, reason)
        for other, reason in zip(sites, blank_layer, strict=True)
    ]
    dataset = xr.Dataset(
        {
            "cka": (("subset", "layer"), result.cka.reshape(shape).cpu().numpy()),
            "cka_se": (("subset", "layer"), result.se.reshape(shape).cpu().numpy()),
            "distance": ("subset", [distances[subset].mean().item() for subset in subsets]),
            "head_distance": ("head", distances.numpy()),
        },
        coords={
            "size": ("subset", np.array([len(subset) for subset in subsets])),
            "heads": ("subset", strings([", ".join(map(str, subset)) for subset in subsets])),
            "blank_subset": ("subset", strings(blank_subset)),
            "layer": strings([other.name for other in sites]),
            "blank_layer": ("layer", strings(blank_layer)),
        },
    )
    dataset["cka"].attrs["long_name"] = "centred kernel alignment"
    dataset["distance"].attrs |= {"long_name": "mean attention distance", "units": "pixels"}
    dataset["head_distance"].attrs["units"] = "pixels"
    dataset.attrs = {
        **run_attributes(facts),
        "layer_a": site.name,
        "examples": heads.examples,
        "batches": int(heads.metric.batches),
        "estimator": "unbiased",
        "se_df": result.df,
        "device": device_name(inputs.device),
        "notes": "\n".join(heads.notes),
        **{f"seconds_{part}": round(value, 4) for part, value in watch.seconds().items()},
        **versions(),
    }
    return dataset


def head_subsets_facts(inputs: Inputs, *, layers: LayerSpec | None, **asked) -> dict:
    """What decides the numbers, as attributes of the result: models, images, what is asked."""
    facts = {"analysis": "head_subsets"}
    for side, place in zip("ab", inputs.places, strict=True):
        facts |= model_facts(f"model_{side}", inputs.subjects[place])
    facts["layers_b"] = as_attribute("first blocks" if layers is None else layers)
    asked = {f"{name}_asked": as_attribute(value) for name, value in asked.items()}
    return facts | data_facts(inputs) | asked


def _chosen_site(
    model, label: str, images: Tensor | ModelInput, layer: str | None
) -> AttentionSite:
    sites, _ = global_attention(model, label, images[:1])
    if layer is not None:
        sites = choose_layers(sites, layer)
    if sites[0].source == "weights":
        raise InputError(
            f"{label}: of {sites[0].name} only the attention weights can be read, not the heads' "
            "outputs"
        )
    return sites[0]


def _early(model, label: str, images: Tensor | ModelInput, layers: LayerSpec | None) -> Selection:
    survey = survey_named(model, label, images)
    if layers is not None:
        return select(survey, layers)
    blocks = select(survey, "blocks")
    early = [site for site in blocks.sites if site.module][:EARLY]
    return replace(blocks, sites=tuple(early))


def _subset_sizes(site: AttentionSite, sizes: Sequence[int] | None) -> list[int]:
    if sizes is None:
        return [2**power for power in range(site.heads.bit_length()) if 2**power < site.heads] or [
            1
        ]
    for size in sizes:
        if not 1 <= size <= site.heads:
            raise InputError(
                f"no subset of {size} heads: {site.name} has {site.heads}, give sizes from 1"
            )
    return sorted(set(sizes))
