"""Sums over images -> the labelled Dataset of one model's tokens and patches."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.analyses.localization_places import Places
from vitprobe.errors import say
from vitprobe.metrics import CKA
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran
from vitprobe.passes.surveyed import Surveyed

NOT_ASKED = "not asked for"
_TOKENS, _PATCHES = ("token_row", "token_col"), ("row", "col")


def described(model: Surveyed, places: Places, chosen: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What a result tells of one model's layer, as JSON can hold it."""
    return {
        "label": model.subject.label,
        "image_size": list(model.image_size),
        "layer": places.site.name,
        "grid": list(places.grid),
        "prefix": places.prefix,
        "has_class": places.has_class,
        "patch": list(places.patch),
        "cuts": [[list(part) for part in side] for side in (places.down, places.across)],
        "tokens": [list(place) for place in chosen],
    }


def model_dataset(
    model: Mapping[str, Any], metric: CKA, silent: str, facts: Mapping[str, Any], ran: Ran
) -> xr.Dataset:
    """One model's maps, the two numbers that they come to, reasons of blanks, and provenance.

    model: of `described`. silent: why its layer has no value after all, or "".
    """
    result, notes = metric.compute(), list(ran.notes)
    rows, columns = model["grid"]
    shape = len(model["tokens"]) + model["has_class"], rows, columns
    cka, se = (values.reshape(shape).cpu().numpy() for values in (result.cka, result.se))
    blank_tokens, blank_patches = metric.blanks()
    blank_tokens = [silent or reason for reason in blank_tokens]
    blank_patches = [reason.replace("activations", "pixels") for reason in blank_patches]
    variables, coordinates = {}, {}
    if model["has_class"]:
        variables["cka_cls"] = (_PATCHES, cka[0], {"long_name": "CKA of the class token"})
        variables["cka_cls_se"] = (_PATCHES, se[0])
        coordinates["blank_cls"] = blank_tokens[0]
        cka, se, blank_tokens = cka[1:], se[1:], blank_tokens[1:]
    tokens = np.array(model["tokens"])
    down, across = (np.unique(tokens[:, axis]) for axis in range(2))
    place = np.searchsorted(down, tokens[:, 0]), np.searchsorted(across, tokens[:, 1])
    for name, values in (("cka", cka), ("cka_se", se)):
        whole = np.full((len(down), len(across), rows, columns), np.nan)
        whole[place] = values
        variables[name] = ((*_TOKENS, *_PATCHES), whole)
    reasons = np.full((len(down), len(across)), NOT_ASKED, dtype=object)
    reasons[place] = strings(blank_tokens)
    coordinates |= {
        "token_row": down,
        "token_col": across,
        "row": np.arange(rows),
        "col": np.arange(columns),
        "blank_token": (_TOKENS, reasons),
        "blank_patch": (_PATCHES, strings(blank_patches).reshape(rows, columns)),
    }
    numbers, left_out = _numbers(cka, tokens)
    for name, value in numbers.items():
        variables[name] = ((), value, _ABOUT[name])
    _tell_blanks(notes, model["label"], blank_patches, left_out)
    dataset = xr.Dataset(variables, coords=coordinates)
    dataset["cka"].attrs["long_name"] = "unbiased CKA of a token with the pixels of a patch"
    dataset["cka_se"].attrs["long_name"] = "standard error of cka"
    dataset.attrs = {
        **run_attributes(facts),
        "layer": model["layer"],
        "prefix": model["prefix"],
        "patch_height": model["patch"][0],
        "patch_width": model["patch"][1],
        "model_image_size": ", ".join(map(str, model["image_size"])),
        **ran.attributes,
        "estimator": "unbiased",
        "passes": ran.passes,
        "se_df": result.df,
        "notes": "\n".join(notes),
        **versions(),
    }
    return dataset


_ABOUT = {
    "own_place": {"long_name": "tokens whose most similar patch is their own", "units": "1"},
    "mean_distance": {"long_name": "from a token to its most similar patch", "units": "patches"},
    "own_place_chance": {"long_name": "own_place of patches drawn at random", "units": "1"},
    "mean_distance_chance": {
        "long_name": "mean_distance of patches drawn at random",
        "units": "patches",
    },
    "counted": {"long_name": "tokens that these rest on", "units": "1"},
}


def _numbers(cka: np.ndarray, tokens: np.ndarray) -> tuple[dict[str, float], int]:
    """What `_ABOUT` names, and how many tokens with values do not count, since their own patch is
    blank.

    cka: (tokens, rows, columns). tokens: (tokens, 2), each one's row and column.
    """
    rows, columns = cka.shape[1:]
    down, across = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    far = np.hypot(down - tokens[:, 0, None, None], across - tokens[:, 1, None, None])
    there = np.isfinite(cka)
    own = there[np.arange(len(tokens)), tokens[:, 0], tokens[:, 1]]
    left_out = int((there.any((1, 2)) & ~own).sum())
    if not own.any():
        return dict.fromkeys(_ABOUT, np.nan) | {"counted": 0}, left_out
    cka, far, there = (values[own].reshape(own.sum(), -1) for values in (cka, far, there))
    best = np.where(there, cka, -np.inf).argmax(1)
    nearest = far[np.arange(len(far)), best]
    return {
        "own_place": float((nearest == 0).mean()),
        "mean_distance": float(nearest.mean()),
        "own_place_chance": float((1 / there.sum(1)).mean()),
        "mean_distance_chance": float(((far * there).sum(1) / there.sum(1)).mean()),
        "counted": int(own.sum()),
    }, left_out


def _tell_blanks(notes: list[str], label: str, patches: Sequence[str], left_out: int) -> None:
    blank = sum(map(bool, patches))
    if not blank:
        return
    why = next(filter(None, patches))
    text = f"{label}: {blank} of {len(patches)} patches are blank ({why})"
    if left_out:
        text += f"; the {left_out} tokens there do not count in own_place and mean_distance"
    say(notes, text)
