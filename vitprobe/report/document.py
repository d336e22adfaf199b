"""The file: one HTML document that holds its styles, its scripts and its numbers.

Nothing but these scripts runs (a content security policy names them by their hashes), and nothing
is fetched from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex

from vitprobe.report.packed import json_text

SCRIPTS = (
    *("tools", "scales", "pen", "map_data", "map_view", "map_steer", "map"),
    *("axes", "plot", "lines", "stack_data", "stack_steer", "stack"),
    *("table", "picture", "gallery", "page"),
)  # in this order
STYLES = ("page", "stack")
COLOURS = {"rising": "magma", "centred": "RdBu_r"}  # of the page -> matplotlib's
_OF = re.compile(
    '<meta name="generator" content="vitprobe [^">]*">\n<meta name="results" content="([^">]*)">'
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="vitprobe {version}">
<meta name="results" content="{results}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<noscript><p>This page draws its figures with scripts, which are off.</p></noscript>
<script type="application/json" id="document">{document}</script>
<script>{script}</script>
</body>
</html>
"""


def html(document: Mapping[str, Any], version: str, results: Sequence[str] = ()) -> str:
    """document: as JSON holds it; its `title` is the page's. results: which ones, in hex."""
    script, style = _script(), "".join(_asset(f"{name}.css") for name in STYLES)
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return _PAGE.format(
        policy="; ".join(f"{key} {value}" for key, value in policy.items()),
        version=escape(version),
        results=escape(" ".join(results)),
        title=escape(str(document["title"])),
        style=style,
        document=json_text({**document, "colours": _colours()}),
        script=script,
    )


def results_on(text: str) -> set[str] | None:
    """The `results` of a page, given its beginning; None of a text that is no page of vitprobe."""
    found = _OF.search(text)
    return set(found[1].split()) if found else None


@cache
def _script() -> str:
    body = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{body}\n}})();\n'


def _asset(name: str) -> str:
    return files("vitprobe.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _colours() -> dict[str, list[str]]:
    """256 colours of each scale, as hexadecimal numbers."""
    return {
        name: [to_hex(colormaps[map_](i)) for i in range(256)] for name, map_ in COLOURS.items()
    }
