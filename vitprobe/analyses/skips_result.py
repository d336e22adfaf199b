"""Sums over images -> the labelled Dataset of one model's skips."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.errors import say
from vitprobe.metrics.branch_ratio import GROUPS, BranchRatios
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran

_OF_GROUPS = {
    "ratio": "norm of the skip over that of the long branch, |z| / |f|",
    "cosine": "cosine of the skip and the long branch",
    "ratio_se": "standard error of ratio over images",
    "cosine_se": "standard error of cosine over images",
    "z_norm": "norm of the skip, |z|",
    "f_norm": "norm of the long branch, |f|",
    "infinite": "tokens without a ratio (f is 0), of all images",
    "undirected": "tokens without a cosine (z or f is 0), of all images",
}
_OF_TOKENS = {"ratio": "mean over images of |z| / |f|", "cosine": "mean over images of the cosine"}


def model_dataset(
    model: Mapping[str, Any],
    ratios: BranchRatios,
    silent: Sequence[str],
    facts: Mapping[str, Any],
    ran: Ran,
) -> xr.Dataset:
    """One model's skips, with names, reasons and provenance.

    model: of the reader's `about`. silent: for each site that was read, why it has no value after
    all, or "".
    """
    result, notes, sites = ratios.compute(), list(ran.notes), model["sites"]
    read = np.array([not site["blank"] for site in sites])
    blanks = iter(why or bad for why, bad in zip(silent, ratios.blanks(), strict=True))
    blank = [site["blank"] or next(blanks) for site in sites]
    variables = {}
    for name, meaning in _OF_GROUPS.items():
        values = np.full((len(sites), len(GROUPS)), np.nan)
        values[read] = getattr(result, name).cpu().double().numpy()
        if name.endswith("_se"):
            values *= ran.passes**0.5  # a pass more shows no new images
        values[[why.startswith("did not fire") for why in blank]] = np.nan
        variables[name] = (("layer", "group"), values, {"long_name": meaning, "units": "1"})
    for name, meaning in _OF_TOKENS.items():
        values = getattr(result, f"token_{name}").cpu().numpy()
        variables |= _maps(name, meaning, sites, np.split(values, np.cumsum(ratios.totals)[:-1]))
    for name, why in (
        ("infinite", "no ratio, their long branch is 0"),
        ("undirected", "no cosine, one of their branches is 0"),
    ):
        if count := np.nansum(variables[name][1]):
            say(notes, f"{model['label']}: of all layers and images, tokens left out: {count:,.0f} "
                f"({why})")  # fmt: skip
    coordinates = {
        name: ("layer", strings([site[name] for site in sites]))
        for name in ("block", "kind", "no_map")
    }
    for name in ("rows", "columns", "channels"):
        coordinates[name] = ("layer", np.array([site[name] for site in sites]))
    tokens = [[site[group] for group in GROUPS] for site in sites]
    coordinates |= {
        "layer": strings([site["name"] for site in sites]),
        "group": strings(GROUPS),
        "depth": ("layer", np.arange(len(sites))),
        "tokens": (("layer", "group"), np.array(tokens)),
        "blank": ("layer", strings(blank)),
    }
    dataset = xr.Dataset(variables, coords=coordinates)
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "model_image_size": ", ".join(map(str, model["image_size"])),
        "notes": "\n".join(notes),
        **versions(),
    }
    return dataset


def _maps(
    name: str, meaning: str, sites: Sequence[Mapping], values: Sequence[np.ndarray]
) -> dict[str, tuple]:
    """`NAME_map` (layer, row, col), of patches; `NAME_special` (layer, special), of the others;
    NaN where a layer has fewer."""
    rows, columns = (max(1, *(site[key] for site in sites)) for key in ("rows", "columns"))
    most = max(site["cls"] + site["registers"] for site in sites)
    of_patches = np.full((len(sites), rows, columns), np.nan)
    of_others = np.full((len(sites), most), np.nan)
    parts = iter(values)
    for layer, site in enumerate(sites):
        if site["blank"]:
            continue
        mine, others = next(parts), site["cls"] + site["registers"]
        of_others[layer, :others] = mine[:others]
        if site["rows"]:
            place = (layer, slice(site["rows"]), slice(site["columns"]))
            of_patches[place] = mine[others:].reshape(site["rows"], site["columns"])
    about = {"long_name": meaning, "units": "1"}
    found = {f"{name}_map": (("layer", "row", "col"), of_patches, about)}
    if most:
        found[f"{name}_special"] = (("layer", "special"), of_others, about)
    return found
