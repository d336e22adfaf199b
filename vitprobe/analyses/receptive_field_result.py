"""Sums over images -> the labelled Dataset of one model's receptive fields."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.analyses.receptive_field_conventions import SQUARES
from vitprobe.errors import say
from vitprobe.metrics.receptive_field import FieldSums
from vitprobe.metrics.silence import Silence
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran

COVERS = "covers the image"


def model_dataset(
    model: Mapping[str, Any],
    sums: FieldSums,
    silence: Silence,
    facts: Mapping[str, Any],
    ran: Ran,
) -> xr.Dataset:
    """One model's fields, with names, reasons and provenance. model: of `about`."""
    sites, found = model["sites"], sums.compute()
    names = [site["name"] for site in sites]
    rows = _rows(sites)
    reasons = [a or b for a, b in zip(silence.reasons(), sums.blanks(), strict=True)]
    blanks = [reasons[row] for row in rows]

    def placed(values: np.ndarray) -> np.ndarray:
        """Of all layers, from those that were computed."""
        whole = np.full((len(sites), *values.shape[1:]), np.nan)
        for k, (row, blank) in enumerate(zip(rows, blanks, strict=True)):
            if not blank:
                whole[k] = values[row]
        return whole

    more = ran.passes**0.5  # a pass more shows no new images
    maps = placed(found.map)
    variables = {
        "map": (("layer", "row", "col"), maps, _said("share of the gradient", "1")),
        "centre": ("layer", placed(found.centre), _said("share at the centre's pixels", "1")),
        "centre_se": ("layer", placed(found.centre_se) * more, _said("standard error", "1")),
    }
    for k, share in enumerate((50, 90)):
        said = _said(f"distance within which {share} % of the gradient lies", "px")
        variables[f"r{share}"] = ("layer", placed(found.radii[:, k]), said)
        errors = placed(found.radii_se[:, k]) * more
        variables[f"r{share}_se"] = ("layer", errors, _said("standard error", "px"))
    said = _said("pixels above 1 % of the largest", "px^2")
    variables["area"] = ("layer", placed(found.area), said)
    boxes = np.array([np.nan if site["box"] is None else site["box"] for site in sites], float)
    variables["box"] = ("layer", boxes, _said("theoretical side, by kernels", "px"))
    if facts["convention"] == "replknet":
        said = _said("side of the centred square with more than a share", "px")
        variables["square"] = (("layer", "share"), np.array([_squares(m) for m in maps]), said)
    variables["left_out_reason"] = ("left_out", strings(list(model["left_out"].values())))
    result = xr.Dataset(variables, _coordinates(model, maps, blanks, names))
    if "square" in result:
        result = result.assign_coords(share=np.array(SQUARES))
    notes = list(ran.notes)
    if some := [site["name"] for site in sites if site["signed"]]:
        say(
            notes,
            f"{model['label']}: the channels of {len(some)} layers ({some[0]}, ...) have the same "
            "sum for every image (a normalisation ends there): they were given signs",
        )
    if silent := sum(bool(blank) for blank in blanks):
        say(notes, f"{model['label']}: {silent} of {len(sites)} layers have no value: see blank")
    result.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "model_image_size": ", ".join(map(str, model["image_size"])),
        "notes": "\n".join(notes),
        **versions(),
    }
    return result


def _said(meaning: str, unit: str) -> dict[str, str]:
    return {"long_name": meaning, "units": unit}


def _rows(sites) -> list[int]:
    """Of each layer the row in the sums: its own, or that of the layer whose tensor it has."""
    own, count = {}, 0
    for site in sites:
        if not site["twin"]:
            own[site["name"]] = count
            count += 1
    return [own[site["twin"] or site["name"]] for site in sites]


def _coordinates(model, maps: np.ndarray, blanks, names) -> dict:
    sites = model["sites"]
    boxed = [site["box"] is not None for site in sites]
    everywhere = np.nan_to_num(maps).min((1, 2)) > 0
    covers = [
        COVERS if (site["covers"] if known else every) else ""
        for site, known, every in zip(sites, boxed, everywhere, strict=True)
    ]
    columns = {
        "layer": strings(names),
        "kind": strings([site["kind"] for site in sites]),
        "block": strings([site["block"] for site in sites]),
        "depth": np.arange(len(sites)),
        "twin": strings([site["twin"] for site in sites]),
        "rows": np.array([site["grid"][0] for site in sites]),
        "columns": np.array([site["grid"][1] for site in sites]),
        "place_row": np.array([site["place"][0] for site in sites]),
        "place_col": np.array([site["place"][1] for site in sites]),
        "point_row": np.array([float(site["point"][0]) for site in sites]),
        "point_col": np.array([float(site["point"][1]) for site in sites]),
        "channels": strings(["mean with signs" if site["signed"] else "mean" for site in sites]),
        "no_box": strings([site["no_box"] for site in sites]),
        "covers": strings(covers),
        "blank": strings(blanks),
    }
    height, width = model["image_size"]
    return {name: ("layer", values) for name, values in columns.items()} | {
        "row": np.arange(height),
        "col": np.arange(width),
        "left_out": ("left_out", strings(list(model["left_out"]))),
    }


def _squares(values: np.ndarray) -> list[float]:
    """Sides 3, 5, ... of the squares around the middle pixel that hold more than each of SQUARES;
    NaN where none within the image does."""
    height, width = values.shape
    y, x = height // 2, width // 2
    sides = range(1, max(height, width) // 2 + 1)
    if np.isnan(values).any():
        return [np.nan] * len(SQUARES)
    held = [
        values[max(y - i, 0) : y + i + 1, max(x - i, 0) : x + i + 1].sum() / values.sum()
        for i in sides
    ]
    return [
        next((2 * i + 1.0 for i, mass in zip(sides, held, strict=True) if mass > share), np.nan)
        for share in SQUARES
    ]
