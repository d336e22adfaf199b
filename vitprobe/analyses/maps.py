"""Where a vision transformer looks, image by image: class-token attention and attention rollout."""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import Dataset
from typing_extensions import Unpack

from vitprobe.analyses.global_attention import choose_layers, global_attention
from vitprobe.analyses.patch_filters import filter_components, patch_filters, position_similarity
from vitprobe.analyses.pictures import Chosen, picture_facts, prepare_pictures
from vitprobe.analyses.rollout import Rollout, head_weights, query_row
from vitprobe.errors import InputError, say
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
from vitprobe.taps.attention import Attention, AttentionSite, capture_attention
from vitprobe.taps.token_grid import TokenGrid, token_grid
from vitprobe.taps.tokens import has_class_token

OPTIONS = SINGLE_IMAGES
_Variables = dict[str, tuple[str | tuple[str, ...], np.ndarray]]


@takes_inputs(only=OPTIONS)
def maps(
    model: ModelLike,
    data: str | Dataset | Tensor,
    index: int | Sequence[int] | None = None,
    *,
    layers: str | Sequence[str] = "all",
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
    **inputs: Unpack[PictureOptions],
) -> xr.Dataset:
    """Attention maps of single images, and what the model knows of places and patches beforehand.

    Args:
        model: a model spec (`vit`, `deit_tiny_patch16_224`, ...) or any module with attention over
            the whole image; or a dict of one under its label.
        data: a data set's name, a Dataset of images, `vitprobe.data.image_files(path)`, or a float
            tensor (N, C, H, W), taken as it is.
        index: which images, counted from 0 in stored order; None: all.
        layers: `all`, names of attention modules or of their blocks (`blocks.3`), globs, or a list.
        grid, prefix, patch_size: rows and columns of patches, tokens before them, pixels of a
            patch; None: read from the model.
        {inputs}

    Returns:
        Dataset, float64 except for `picture`:
        `attention` (image, layer, head, row, col): softmax(qk) of the class token to each patch, or
            its mean over all queries where there is no class token (attribute `query`); NaN for the
            heads that a layer lacks;
        `rollout` (image, layer, row, col): attention rollout up to this layer, through all earlier
            ones, of the class token (or the mean over tokens); the largest value is 1;
        `picture` (image, y, x, rgb): the image as the model sees it, uint8;
        `position_similarity` (row, col, row2, col2): cosine of the patches' position embeddings;
        `filters` (filter, channel, filter_row, filter_col), `components` and `component_variance`:
            filters of the patch convolution, and their principal components.
        What a model lacks is left out, with the reason as attribute `no_position_similarity` or
        `no_filters`; attention that cannot be read is listed in `left_out`, `left_out_reason`.

    Raises:
        InputError: no such image, no attention, or attention within windows or over several grids,
            where there is no map of the whole image.
    """
    options = InputOptions(**inputs)
    subject, chosen = prepare_pictures(model, data, index, options)
    return maps_of(
        subject, chosen, options, layers=layers, grid=grid, prefix=prefix, patch_size=patch_size
    )


def maps_of(
    subject: Subject,
    chosen: Chosen,
    inputs: InputOptions,
    *,
    layers: str | Sequence[str] = "all",
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: int | tuple[int, int] | None = None,
) -> xr.Dataset:
    """`maps` of what `prepare_pictures` gives."""
    device = choose_device(
        inputs.device, [subject.model] if inputs.device in (None, "auto") else []
    )
    notes: list[str] = []
    attention, rollout, pictures = [], [], []
    tokens: TokenGrid | None = None
    with torch.no_grad(), moved(subject.model, device):
        for x, picture in chosen:
            x = x.to(device, subject.dtype)
            if tokens is None:
                size = (x.shape[2], x.shape[3])
                surveyed = Surveyed(subject, 0, x).attention
                sites, left_out = global_attention(subject.label, surveyed)
                wanted = [site.name for site in choose_layers(sites, layers)]
                tokens = token_grid(
                    subject.model,
                    sites[0].tokens,
                    size,
                    grid=grid,
                    prefix=prefix,
                    patch_size=patch_size,
                )
                class_token = tokens.prefix > 0 and has_class_token(subject.model)
            with autocast(device, inputs):
                rows, rolled = _one_image(subject, x, sites, tokens, class_token)
            attention.append([rows[name] for name in wanted])
            rollout.append([rolled[name] for name in wanted])
            pictures.append(picture)
        if left_out:
            say(
                notes,
                f"the rollout goes past attention that cannot be read: {', '.join(left_out)}",
            )
        assert tokens is not None  # there is an image
        found, missing = _before_the_blocks(subject.model, tokens, x.shape[1])
    heads = max(len(of_heads) for of_heads in attention[0])
    values = np.full((len(attention), len(wanted), heads, tokens.rows, tokens.columns), np.nan)
    for i, of_image in enumerate(attention):
        for j, of_heads in enumerate(of_image):
            values[i, j, : len(of_heads)] = of_heads
    result = xr.Dataset(
        {
            "attention": (("image", "layer", "head", "row", "col"), values),
            "rollout": (("image", "layer", "row", "col"), np.array(rollout)),
            "picture": (("image", "y", "x", "rgb"), np.stack(pictures)),
            "left_out_reason": ("left_out", strings(list(left_out.values()))),
            **found,
        },
        coords={
            "image": strings(chosen.labels),
            "layer": strings(wanted),
            "left_out": strings(list(left_out)),
        },
    )
    result["attention"].attrs["long_name"] = "attention to each patch"
    result["rollout"].attrs["long_name"] = "attention rollout"
    asked = {"layers": layers, "grid": grid, "prefix": prefix, "patch_size": patch_size}
    result.attrs = {
        **run_attributes(maps_facts(subject, chosen, inputs, **asked)),
        "query": "class token" if class_token else "mean over queries",
        "patch_height": tokens.patch_height,
        "patch_width": tokens.patch_width,
        "prefix": tokens.prefix,
        **missing,
        "device": device_name(device),
        "notes": "\n".join(notes),
        **versions(),
    }
    return result


def maps_facts(
    subject: Subject, chosen: Chosen, inputs: InputOptions, *, layers="all", **tokens
) -> dict:
    """What decides the numbers, as attributes of the result: model, images, what is asked."""
    asked = {f"{name}_asked": as_attribute(value) for name, value in tokens.items()}
    return picture_facts("maps", subject, chosen, inputs, layers=as_attribute(layers), **asked)


def _one_image(
    subject: Subject,
    x: Tensor,  # (1, C, H, W)
    sites: list[AttentionSite],
    tokens: TokenGrid,
    class_token: bool,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Per layer the rows of all heads, (H, rows, columns), and the rollout, (rows, columns)."""
    rows, rolled, rollout = {}, {}, Rollout()
    shape = (tokens.rows, tokens.columns)

    def take(site: AttentionSite, attention: Attention) -> None:
        mean: float | Tensor = 0.0
        of_heads = []
        for head in range(site.heads):
            weights = head_weights(attention, head)
            of_heads.append(query_row(weights, class_token)[tokens.prefix :])
            mean = mean + weights / site.heads
        rows[site.name] = torch.stack(of_heads).reshape(-1, *shape).cpu().numpy()
        assert isinstance(mean, Tensor)  # a site has heads
        patches = query_row(rollout.add(mean), class_token)[tokens.prefix :]
        rolled[site.name] = (patches / patches.max()).reshape(shape).cpu().numpy()

    with capture_attention(subject.model, sites, take):
        try:
            subject.model(x)
        except InputError:
            raise
        except Exception as error:
            raise failed(subject.label, x, error) from error
    return rows, rolled


def _before_the_blocks(
    model: nn.Module, tokens: TokenGrid, channels: int
) -> tuple[_Variables, dict[str, str]]:
    """Variables of the position embedding and of the patch filters; and why any is missing."""
    found: _Variables = {}
    missing: dict[str, str] = {}
    similarity = position_similarity(model, tokens.rows * tokens.columns, tokens.prefix)
    if isinstance(similarity, str):
        missing["no_position_similarity"] = similarity
    else:
        shape = (tokens.rows, tokens.columns) * 2
        values = similarity.reshape(shape).cpu().numpy()
        found["position_similarity"] = (("row", "col", "row2", "col2"), values)
    filters = patch_filters(model, channels)
    if isinstance(filters, str):
        return found, missing | {"no_filters": filters}
    components, share = filter_components(filters)
    dims = ("channel", "filter_row", "filter_col")
    found["filters"] = (("filter", *dims), filters.cpu().numpy())
    found["components"] = (("component", *dims), components.cpu().numpy())
    found["component_variance"] = ("component", share.cpu().numpy())
    return found, missing
