"""Feature maps of single images, as the network computes them."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.utils.data import Dataset
from typing_extensions import Unpack

from vitprobe.analyses.first_filters import first_filters
from vitprobe.analyses.pictures import Chosen, picture_facts, prepare_pictures
from vitprobe.analyses.strongest import STRENGTH, Strongest, variables
from vitprobe.errors import InputError, option, say
from vitprobe.input_options import SINGLE_IMAGES, InputOptions, PictureOptions, takes_inputs
from vitprobe.models import choose_device
from vitprobe.passes.inputs import autocast, failed
from vitprobe.passes.provenance import (
    as_attribute,
    device_name,
    run_attributes,
    strings,
    versions,
)
from vitprobe.passes.subjects import ModelLike, Subject, moved
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import Site, Survey, capture, select
from vitprobe.taps.map_view import MapView, map_views
from vitprobe.taps.selection import Layers
from vitprobe.taps.stage_ends import stage_ends

TOP = 8
STAGE_ENDS = "where stages end"  # said of `layers` where it is None
BATCH = 16  # images in one forward


@takes_inputs(only=SINGLE_IMAGES)
def features(
    model: ModelLike,
    data: str | Dataset | Tensor,
    layers: Layers | None = None,
    *,
    index: int | Sequence[int] | None = None,
    top: int = TOP,
    **inputs: Unpack[PictureOptions],
) -> xr.Dataset:
    """Feature maps of single images, as the network computes them, at the moment it does.

    Args:
        model: a model spec (`resnet20@digits`, ...) or any module; or a dict of one under its
            label.
        data: a data set's name, a Dataset of images, `vitprobe.data.image_files(path)`, or a float
            tensor (N, C, H, W), taken as it is.
        layers: as for `vitprobe.cka`; None: where the stages end (see `stage_ends`): the stem after
            norm and activation, every block, and the last map before the pooling.
        index: which images, counted from 0 in stored order; None: all.
        {inputs}
        top: how many channels of each layer are kept, those that respond most: with the largest
            mean over positions of the absolute activation; of equals the first.

    Returns:
        Dataset:
        `channel_mean` (image, layer, row, col) float64: mean over the channels;
        `top` (image, layer, rank, row, col): the maps of the channels that respond most to this
            image, strongest first, float32 (or float64, if the model is): the very numbers of the
            network; `top_channel` (image, layer, rank) int64: which channels, -1 where a layer has
            fewer; `strength` (image, layer, rank) float64: their mean absolute activation;
        `picture` (image, y, x, rgb): the image as the model sees it, uint8;
        `filters` (filter, channel, filter_row, filter_col) float64: the weights of the first
            convolution over the image (attribute `filters_of`), or the attribute `no_filters`.
        A layer has `channels`, and `rows` x `cols` positions from the upper left; beyond them its
        maps are NaN. `blank`: why a layer has no values, or not all; `left_out`,
        `left_out_reason`: layers that were asked for and are no maps.

    Raises:
        InputError: no such image or layer, no layer that is a map, or `top` below 1.
    """
    options = InputOptions(**inputs)
    subject, chosen = prepare_pictures(model, data, index, options)
    return features_of(subject, chosen, options, layers=layers, top=top)


def features_of(
    subject: Subject,
    chosen: Chosen,
    inputs: InputOptions,
    *,
    layers: Layers | None = None,
    top: int = TOP,
) -> xr.Dataset:
    """`features` of what `prepare_pictures` gives."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"{option('top', top)}: give how many channels of a layer, 1 or more")
    device = choose_device(
        inputs.device, [subject.model] if inputs.device in (None, "auto") else []
    )
    notes: list[str] = []
    pictures, batches = [], []
    views: dict[str, MapView] = {}
    images = iter(chosen)
    with torch.no_grad(), moved(subject.model, device):
        while batch := list(islice(images, BATCH)):
            x = torch.cat([x for x, _ in batch]).to(device, subject.dtype)
            pictures += [picture for _, picture in batch]
            if not views:
                survey = Surveyed(subject, 0, _with_others(x)).sites
                views, left_out = _chosen(subject, survey, layers, (x.shape[2], x.shape[3]), notes)
                filters = first_filters(subject.model, survey, x.shape[1])
            with autocast(device, inputs):
                batches.append((len(x), _taken(subject, x, survey, views, top)))
    names = list(views)
    values, blank = variables(batches, views, top)
    of_layer = {
        "type": strings([survey[name].type for name in names]),
        "block": strings([survey[name].block for name in names]),
        "channels": [views[name].channels for name in names],
        "rows": [views[name].rows for name in names],
        "cols": [views[name].columns for name in names],
        "blank": strings(blank),
    }
    found, said = {}, {}
    if isinstance(filters, str):
        said["no_filters"] = filters
    else:
        said["filters_of"], weights = filters
        dims = ("filter", "channel", "filter_row", "filter_col")
        found["filters"] = (dims, weights.cpu().numpy())
    result = xr.Dataset(
        {
            **values,
            "picture": (("image", "y", "x", "rgb"), np.stack(pictures)),
            "left_out_reason": ("left_out", strings(list(left_out.values()))),
            **found,
        },
        coords={
            "image": strings(chosen.labels),
            "layer": strings(names),
            "left_out": strings(list(left_out)),
            **{key: ("layer", column) for key, column in of_layer.items()},
        },
    )
    result.attrs = {
        **run_attributes(features_facts(subject, chosen, inputs, layers=layers, top=top)),
        "strongest": STRENGTH,
        **said,
        "device": device_name(device),
        "notes": "\n".join(notes),
        **versions(),
    }
    return result


def features_facts(
    subject: Subject, chosen: Chosen, inputs: InputOptions, *, layers=None, top=TOP
) -> dict[str, Any]:
    """What decides the numbers, as attributes of the result."""
    asked = {"layers": STAGE_ENDS if layers is None else as_attribute(layers), "top": top}
    return picture_facts("features", subject, chosen, inputs, **asked)


def _with_others(x: Tensor) -> Tensor:
    """The first images, and as many of noise as a survey needs: it takes four that differ."""
    numbers = torch.Generator().manual_seed(0)
    noise = torch.randn(4, *x.shape[1:], generator=numbers).to(x)
    scale, mean = (value.nan_to_num(0, 0, 0) for value in torch.std_mean(x.float()))
    return torch.cat([x[:4], (noise * (scale or 1) + mean).to(x)])


def _chosen(
    subject: Subject,
    survey: Survey,
    layers: Layers | None,
    image_size: tuple[int, int],
    notes: list[str],
) -> tuple[dict[str, MapView], dict[str, str]]:
    """The layers that are shown, with where their maps are; and why others are left out."""
    views = map_views(subject.model, survey, image_size)
    asked = stage_ends(survey, views) if layers is None else layers
    if not asked and layers is None:
        say(notes, f"{subject.label} has no blocks: all of its maps are shown")
        asked = "all"
    found = select(survey, asked)
    note = survey.blocks_note if layers is None else found.note
    if note:
        say(notes, f"{subject.label}: {note}")
    shown, left_out = {}, dict(found.left_out)
    for site in found.sites:
        view = views[site.name]
        if isinstance(view, MapView):
            shown[site.name] = view
        else:
            left_out[site.name] = view
    if not shown:
        name, why = next(iter(left_out.items()))
        raise InputError(f"no layer that was asked for is a map: {name!r}: {why}")
    return shown, left_out


def _taken(
    subject: Subject, x: Tensor, survey: Survey, views: dict[str, MapView], top: int
) -> dict[str, Strongest]:
    """One forward: of each layer that fires what is kept."""
    found = {}

    def take(site: Site, activation: Tensor, twin: Site | None) -> None:
        found[site.name] = Strongest.of(views[site.name].of(activation), top)

    with capture(subject.model, [survey[name] for name in views], take):
        try:
            subject.model(x)
        except InputError:
            raise
        except Exception as error:
            raise failed(subject.label, x, error) from error
    return found
