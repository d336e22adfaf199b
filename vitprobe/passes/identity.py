"""Which run it is: all that decides its numbers and is known before the models were looked at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Reader
from vitprobe.text import printable

KNOWN = ("facts", "images")  # of a reader's `about`
_MOST = 3  # differences that are told


def known(reader: Reader, inputs: Inputs) -> dict[str, Any]:
    """`facts`, which results tell; and `images`: what would be long in a result, how many there are
    to choose from, which they are as far as they have names, and what is done to them, exactly.

    Of images that are given from Python only their number is known, not what they show.
    """
    options = inputs.options
    images = {
        **inputs.loader.contents,
        "transforms": [asdict(subject.transform) for subject in inputs.subjects],
        # which images are skipped
        "max_pixels": options.max_pixels if options.skip_bad_images else None,
    }
    return {"facts": reader.facts(inputs), "images": images}


def known_parts(readers: Sequence[Reader], inputs: Inputs) -> list[dict[str, Any]]:
    """For each reader what it is and what is known, as a file holds it."""
    parts = [
        {
            "analysis": reader.analysis,
            "version": reader.version,
            "about": known(reader, inputs),
        }
        for reader in readers
    ]
    return json.loads(json.dumps(parts))


def outlines(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of parts what is known before the models were looked at, as `known_parts` gives it."""
    return [
        part | {"about": {key: value for key, value in part["about"].items() if key in KNOWN}}
        for part in parts
    ]


def check_same(path: Path, saved: list[dict[str, Any]], now: list[dict[str, Any]]) -> None:
    """Both are of one run: the same models, data, options and sites, and of the same meaning.

    Raises:
        InputError: they are not; it says what differs, field by field.
    """
    if found := differences(saved, now, ", now "):
        raise InputError(f"{printable(path)} is of another run ({found})")


def differences(saved: list[dict[str, Any]], now: list[dict[str, Any]], between: str) -> str:
    """What differs, as `seed 0, now 1; ...`, or ""."""
    found = [f"{name} {one}{between}{other}" for name, one, other in _different(saved, now)]
    return "; ".join(found[:_MOST]) + ("; ..." if len(found) > _MOST else "")


def _different(
    saved: list[dict[str, Any]], now: list[dict[str, Any]]
) -> list[tuple[str, str, str]]:
    names, others = ([part["analysis"] for part in parts] for parts in (saved, now))
    if names != others:
        return [("analyses", ", ".join(names), ", ".join(others))]
    found = []
    for one, other in zip(saved, now, strict=True):
        if one["version"] != other["version"]:
            name = f"version of {one['analysis']}'s estimator"
            found.append((name, _brief(one["version"]), _brief(other["version"])))
        found += _in_fields("", one["about"], other["about"])
    return list(dict.fromkeys(found))


def _in_fields(name: str, saved: Any, now: Any) -> list[tuple[str, str, str]]:
    """The innermost fields that are not the same."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*saved, *now])
        fields = [(key, saved.get(key), now.get(key)) for key in keys if key != "notes"]
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        fields = [(name, one, other) for one, other in zip(saved, now, strict=True)]
    elif saved == now:
        return []
    else:
        return [(name.replace("_", " "), _brief(saved), _brief(now))]
    return [each for key, one, other in fields for each in _in_fields(key, one, other)]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    text = "none" if value in (None, "") else str(value)
    return printable(text[:12] if len(text) == 64 else text, 60)
