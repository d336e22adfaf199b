"""Sums over images -> the labelled Dataset of one model's attention."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.analyses.attention_heads import Heads
from vitprobe.errors import say
from vitprobe.metrics import AttentionMeans
from vitprobe.models.blocks import block_paths, enclosing_block
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran
from vitprobe.taps.token_grid import TokenGrid

QUANTITIES = {
    "distance": ("mean attention distance of what patches get", "px"),
    "distance_raw": ("mean attention distance of all attention", "px"),
    "patch_mass": ("share of attention that patches get", "1"),
    "entropy": ("entropy of attention", "nats"),
}
_COUNTS = ("heads", "tokens", "windows")


def described(heads: Heads) -> dict[str, Any]:
    """What a result tells of one model's attention, as JSON can hold it.

    sites: for each, what its coordinates say; `grid` is empty, and `blank` the reason, where the
    layer has no value.
    """
    blocks = set(block_paths(heads.model.subject.model))
    return {
        "label": heads.model.subject.label,
        "image_size": list(heads.model.image_size),
        "sites": [
            {
                "name": site.name,
                "block": enclosing_block(site.name.partition("#")[0], blocks),
                "heads": site.heads,
                "tokens": site.tokens,
                "windows": site.per_image,
                "source": site.source,
                "grid": asdict(heads.grids[site.name]) if site.name in heads.grids else {},
                "blank": heads.blanks.get(site.name, ""),
            }
            for site in heads.sites
        ],
        "refused": {site.name: site.reason for site in heads.refused},
    }


def model_dataset(
    model: Mapping[str, Any],
    means: AttentionMeans,
    silent: Sequence[str],
    facts: Mapping[str, Any],
    ran: Ran,
) -> xr.Dataset:
    """One model's heads, with names, reasons, what uniform attention gives, and provenance.

    model: of `described`. silent: for each site with values, why it has none after all, or "".
    """
    result, notes, label = means.compute(), list(ran.notes), model["label"]
    sites = model["sites"]
    dims = ("layer", "head")
    variables = {}
    for name, (meaning, unit) in QUANTITIES.items():
        about = {"long_name": meaning, "units": unit}
        variables[name] = (dims, _matrix(sites, getattr(result, name)), about)
        about = {"long_name": f"standard error of {name} over images", "units": unit}
        variables[f"{name}_se"] = (dims, _matrix(sites, getattr(result, f"{name}_se")), about)
    left_out = _matrix(sites, result.left_out)
    about = {"long_name": "queries without attention to a patch, of all images", "units": "1"}
    variables["queries_left_out"] = (dims, left_out, about)
    variables["left_out_reason"] = ("left_out", strings(list(model["refused"].values())))
    if (count := np.nansum(left_out)) > 0:
        say(notes, f"{label}: {count:,.0f} queries without attention to a patch are left out of "
            "distance")  # fmt: skip
    numbers = sorted({site["heads"] for site in sites})
    if len(numbers) > 1:
        say(notes, f"{label}: layers have {numbers[0]} to {numbers[-1]} heads; "
            "NaN stands for heads that a layer does not have")  # fmt: skip
    blanks = _blanks(sites, means.blanks(), silent)
    coordinates = _coordinates(sites, blanks)
    coordinates["left_out"] = ("left_out", strings(list(model["refused"])))
    dataset = xr.Dataset(variables, coords=coordinates)
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "model_image_size": ", ".join(map(str, model["image_size"])),
        "notes": "\n".join(notes),
        **versions(),
    }
    return dataset


def _matrix(sites: Sequence[Mapping], values) -> np.ndarray:
    """(layers, most heads) float64 from the heads of the layers that were computed, end to end."""
    matrix = np.full((len(sites), max(site["heads"] for site in sites)), np.nan)
    heads = [site["heads"] for site in sites if site["grid"]]
    parts = iter(values.reshape(-1).cpu().split(heads))
    for row, site in enumerate(sites):
        if site["grid"]:
            matrix[row, : site["heads"]] = next(parts)
    return matrix


def _coordinates(sites: Sequence[Mapping], blanks: Sequence[str]) -> dict:
    grids = [TokenGrid(**site["grid"]) if site["grid"] else None for site in sites]
    columns = {
        "layer": strings([site["name"] for site in sites]),
        "block": strings([site["block"] for site in sites]),
        "depth": np.arange(len(sites)),
        **{name: np.array([site[name] for site in sites]) for name in _COUNTS},
        "source": strings([site["source"] for site in sites]),
        "blank": strings(blanks),
    }
    unknown = {
        "rows": -1,
        "columns": -1,
        "prefix": -1,
        "patch_height": np.nan,
        "patch_width": np.nan,
    }
    for name, none in unknown.items():
        columns[name] = np.array([getattr(grid, name, none) for grid in grids])
    uniform = [{} if grid is None else grid.uniform() for grid in grids]
    for name in QUANTITIES:
        columns[f"{name}_uniform"] = np.array([values.get(name, np.nan) for values in uniform])
    coordinates = {name: ("layer", values) for name, values in columns.items()}
    return coordinates | {"head": np.arange(max(site["heads"] for site in sites))}


def _blanks(
    sites: Sequence[Mapping], of_heads: Sequence[str], of_layers: Sequence[str]
) -> list[str]:
    """Why each layer, or some of its heads, have no value, or ""."""
    heads, silent = iter(of_heads), iter(of_layers)
    reasons = []
    for site in sites:
        if not site["grid"]:
            reasons.append(site["blank"])
            continue
        which = defaultdict(list)
        for head in range(site["heads"]):
            if reason := next(heads):
                which[reason].append(str(head))
        reasons.append(
            next(silent)
            or "; ".join(
                reason if len(hit) == site["heads"] else f"heads {', '.join(hit)}: {reason}"
                for reason, hit in which.items()
            )
        )
    return reasons
