"""What a page says of where a result's numbers come from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.report.drawn import text
from vitprobe.report.packed import number

APART = ("notes", "command")  # have a place of their own
MODEL = re.compile(r"model(_a|_b|_\d+)?")


def labels(attrs: Mapping[str, Any]) -> list[str]:
    """The models of a result, each once, in order."""
    keys = sorted(filter(MODEL.fullmatch, attrs), key=lambda key: (len(key), key))
    return list(dict.fromkeys(str(attrs[key]) for key in keys))


def heading(result: xr.Dataset) -> str:
    """`vit@digits, resnet20@digits on digits test`."""
    attrs = result.attrs
    data = " ".join(filter(None, (str(attrs.get(key, "")) for key in ("dataset", "split"))))
    names = ", ".join(labels(attrs)) or str(attrs.get("study", ""))
    return " on ".join(filter(None, (names, data)))


def run_of(result: xr.Dataset) -> str:
    """16 hexadecimal digits that say which run a result is of."""
    attrs = result.attrs
    told = attrs.get("run") or f"{attrs.get('analysis')} of {heading(result)}"
    return hashlib.sha256(str(told).encode(errors="replace")).hexdigest()[:16]


def facts(result: xr.Dataset) -> list[list[str]]:
    """Every attribute, as (name, value) in words; what says nothing is left out."""
    told = {key: _value(value) for key, value in result.attrs.items() if key not in APART}
    return [[text(key.replace("_", " ")), value] for key, value in told.items() if value]


def notes(result: xr.Dataset) -> list[str]:
    """What was said while the numbers were made."""
    return [text(note) for note in str(result.attrs.get("notes", "")).split("\n") if note]


def _value(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        found = number(float(value))
        return "" if found is None else f"{found:,}"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}" if abs(int(value)) >= 10_000 else str(int(value))
    return text(value)
