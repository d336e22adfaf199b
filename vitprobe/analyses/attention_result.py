"""Sums over images -> the labelled Dataset of one model's attention."""

from collections import defaultdict

import numpy as np
import xarray as xr

from vitprobe.analyses.attention_pass import Heads
from vitprobe.analyses.inputs import say
from vitprobe.analyses.provenance import strings, versions
from vitprobe.taps.blocks import block_paths, enclosing_block

QUANTITIES = {
    "distance": ("mean attention distance of what patches get", "px"),
    "distance_raw": ("mean attention distance of all attention", "px"),
    "patch_mass": ("share of attention that patches get", "1"),
    "entropy": ("entropy of attention", "nats"),
}


def model_dataset(heads: Heads, attributes: dict, notes: list[str]) -> xr.Dataset:
    """One model's heads, with names, reasons, what uniform attention gives, and provenance."""
    result, notes = heads.metric.compute(), list(notes)
    dims = ("layer", "head")
    variables = {}
    for name, (meaning, unit) in QUANTITIES.items():
        about = {"long_name": meaning, "units": unit}
        variables[name] = (dims, _matrix(heads, getattr(result, name)), about)
        about = {"long_name": f"standard error of {name} over images", "units": unit}
        variables[f"{name}_se"] = (dims, _matrix(heads, getattr(result, f"{name}_se")), about)
    left_out = _matrix(heads, result.left_out)
    about = {"long_name": "queries without attention to a patch, of all images", "units": "1"}
    variables["queries_left_out"] = (dims, left_out, about)
    variables["left_out_reason"] = ("left_out", strings([site.reason for site in heads.refused]))
    if (count := np.nansum(left_out)) > 0:
        say(notes, f"{heads.subject.label}: {count:,.0f} queries without attention to a patch are "
            "left out of distance")  # fmt: skip
    numbers = sorted({site.heads for site in heads.sites})
    if len(numbers) > 1:
        say(notes, f"{heads.subject.label}: layers have {numbers[0]} to {numbers[-1]} heads; "
            "NaN stands for heads that a layer does not have")  # fmt: skip
    dataset = xr.Dataset(variables, coords=_coordinates(heads))
    dataset.attrs = {
        **attributes,
        "model_image_size": ", ".join(map(str, heads.image_size)),
        "notes": "\n".join(notes),
        **versions(),
    }
    return dataset


def _matrix(heads: Heads, values) -> np.ndarray:
    """(layers, most heads) float64 from the heads of the layers that were computed, end to end."""
    matrix = np.full((len(heads.sites), max(site.heads for site in heads.sites)), np.nan)
    parts = iter(values.reshape(-1).cpu().split([site.heads for site in heads.computed]))
    for row, site in enumerate(heads.sites):
        if site.name in heads.grids:
            matrix[row, : site.heads] = next(parts)
    return matrix


def _coordinates(heads: Heads) -> dict:
    sites = heads.sites
    blocks = set(block_paths(heads.subject.model))
    grids = [heads.grids.get(site.name) for site in sites]
    columns = {
        "layer": strings([site.name for site in sites]),
        "block": strings([enclosing_block(site.name.partition("#")[0], blocks) for site in sites]),
        "depth": np.arange(len(sites)),
        "heads": np.array([site.heads for site in sites]),
        "tokens": np.array([site.tokens for site in sites]),
        "windows": np.array([site.per_image for site in sites]),
        "source": strings([site.source for site in sites]),
        "blank": strings(_blanks(heads)),
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
    return {name: ("layer", values) for name, values in columns.items()} | {
        "head": np.arange(max(site.heads for site in sites)),
        "left_out": ("left_out", strings([site.name for site in heads.refused])),
    }


def _blanks(heads: Heads) -> list[str]:
    """Why each layer, or some of its heads, have no value, or ""."""
    of_heads = iter(heads.metric.blanks())
    reasons = []
    for site in heads.sites:
        found = [next(of_heads) for _ in range(site.heads)] if site.name in heads.grids else []
        which = defaultdict(list)
        for head, reason in enumerate(found):
            if reason:
                which[reason].append(str(head))
        reasons.append(
            heads.blanks.get(site.name)
            or "; ".join(
                reason if len(hit) == site.heads else f"heads {', '.join(hit)}: {reason}"
                for reason, hit in which.items()
            )
        )
    return reasons
