"""Kinds -> what the page's scripts draw, as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from vitprobe.report.kinds import (
    Axis,
    Gallery,
    Kind,
    Lines,
    Map,
    Picture,
    Series,
    Sheet,
    Side,
    Stack,
    Table,
)
from vitprobe.report.packed import COARSE, FINE, bytes_url, number, numbers, packed, png_url
from vitprobe.text import printable

WIDE = 30  # names along an axis that need the whole page
TINY = 32  # numbers of an image of a stack that are written as text


def drawn(kind: Kind) -> dict[str, Any]:
    """One figure of the page."""
    name = type(kind).__name__.lower()
    about = {"kind": name, "title": text(kind.title), "caption": text(kind.caption)}
    return about | _FORMS[type(kind)](kind)


def text(words: object) -> str:
    """Whatever a name holds is seen, and does nothing."""
    return printable(words, None)


def texts(words) -> list[str]:
    return [text(word) for word in words]


def _map(kind: Map) -> dict[str, Any]:
    sheets = [_sheet(each) for each in kind.sheets]
    return {"rows": _side(kind.rows), "columns": _side(kind.columns), "sheets": sheets}


def _side(side: Side) -> dict[str, Any]:
    return {
        "title": text(side.title),
        "names": texts(side.names),
        "blocks": texts(side.blocks),
        "outputs": [int(each) for each in side.outputs],
    }


def _sheet(sheet: Sheet) -> dict[str, Any]:
    arrays = {
        "values": (sheet.values, FINE),
        "error": (sheet.error, COARSE),
        "line": (sheet.line, COARSE),
        "p": (sheet.p, FINE),
    }
    return {
        "name": text(sheet.name),
        **{
            key: packed(array, steps) for key, (array, steps) in arrays.items() if array is not None
        },
        "limits": numbers(sheet.limits),
        "distance": sheet.distance,
        "interval": number(sheet.interval),
        "blank": [texts(reasons) if any(reasons) else [] for reasons in sheet.blank],
    }


def _lines(kind: Lines) -> dict[str, Any]:
    return {
        "x": _axis(kind.x),
        "y": _axis(kind.y),
        "series": [_series(each) for each in kind.series],
        "levels": [{"name": text(each.name), "y": number(each.y)} for each in kind.levels],
        "picks": text(kind.picks),
        "ordered": kind.ordered,
        "band": text(kind.band),
        "wide": len(kind.x.names or ()) > WIDE,
    }


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "title": text(axis.title),
        "names": None if axis.names is None else texts(axis.names),
        "log": axis.log,
        "low": number(axis.low),
        "high": number(axis.high),
        "unit": text(axis.unit),
    }


def _series(series: Series) -> dict[str, Any]:
    more = {key: getattr(series, key) for key in ("x", "error", "low", "high")}
    return {
        "name": text(series.name),
        "y": numbers(series.y),
        **{key: None if given is None else numbers(given) for key, given in more.items()},
        "interval": number(series.interval),
        "names": None if series.names is None else texts(series.names),
        "group": text(series.group),
        "colour": None if series.colour is None else int(series.colour),
        "line": bool(series.line),
        "dashed": bool(series.dashed),
    }


def _stack(kind: Stack) -> dict[str, Any]:
    """Images are packed one by one: each to the steps of its own range."""
    shape = kind.values.shape[:-2]
    pictures = [] if kind.pictures is None else [png_url(each) for each in kind.pictures]
    return {
        "dims": [
            {
                "title": text(each.title),
                "names": texts(each.names),
                "slider": each.slider,
                "start": each.start,
                "columns": each.columns,
            }
            for each in kind.dims
        ],
        "values": _images(kind.values, kind.used),
        "error": None if kind.error is None else _images(kind.error, kind.used),
        "unit": text(kind.unit),
        "limits": numbers(kind.limits),
        "scale": kind.scale,
        "centred": kind.centred,
        "said": [] if kind.said is None else texts(kind.said[at] for at in np.ndindex(shape)),
        "marks": [[asdict(mark) for mark in marks] for marks in kind.marks],
        "pictures": pictures,
        "ratio": number(_ratio(kind)),
        "of": kind.of,
        "opacity": kind.opacity,
    }


def _images(values: np.ndarray, used: np.ndarray | None) -> list[dict[str, Any]]:
    found = []
    for at in np.ndindex(values.shape[:-2]):
        rows, columns = values.shape[-2:] if used is None else used[at]
        found.append(packed(values[at][:rows, :columns], few=TINY))
    return found


def _ratio(kind: Stack) -> float | None:
    """Height over width of an image; None: its cells are square."""
    if kind.ratio is None and kind.pictures is not None:
        return kind.pictures.shape[1] / kind.pictures.shape[2]
    return kind.ratio


def _gallery(kind: Gallery) -> dict[str, Any]:
    """All pictures are one, below one another: a page may hold hundreds."""
    count, height, width, channels = kind.pictures.shape
    whole = kind.pictures.reshape(count * height, width, channels)
    return {
        "source": png_url(whole),
        "count": count,
        "height": height,
        "width": width,
        "names": [texts(name.split("\n")) for name in kind.names],
        "words": text(kind.words),
    }


def _table(kind: Table) -> dict[str, Any]:
    def cell(value):
        return number(float(value)) if isinstance(value, (int, float)) else text(value)

    return {
        "columns": texts(kind.columns),
        "rows": [[cell(value) for value in row] for row in kind.rows],
    }


def _picture(kind: Picture) -> dict[str, Any]:
    return {"source": bytes_url(kind.png), "alt": text(kind.alt or kind.title)}


_FORMS: dict[type, Callable[[Any], dict[str, Any]]] = {
    Map: _map,
    Lines: _lines,
    Stack: _stack,
    Table: _table,
    Picture: _picture,
    Gallery: _gallery,
}
