"""Numbers and pictures as a page holds them: small, and exact to what it shows."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image

BLANK = 65_535
FINE, COARSE = 65_534, 4_094  # steps between the least and the largest of an array
FEW = 2_048  # numbers that are written as text
DIGITS = 6  # significant, of these


def packed(values: np.ndarray, steps: int = FINE, few: int = FEW) -> dict[str, Any]:
    """An array of numbers for JSON: its shape, and either the numbers or 16 bits for each.

    The 16-bit numbers k stand for low + k * step, 65,535 for a blank, so the error is at most
    1/131,068 of the range, with coarse steps 1/8,188. They are stored as gzip of all low bytes,
    then all high bytes, in base64. Infinite numbers are blanks. few: up to
    which count the numbers are text.
    """
    values = np.asarray(values, dtype=np.float64)
    found: dict[str, Any] = {"shape": list(values.shape)}
    if values.size <= few:
        return found | {"numbers": numbers(values.ravel())}
    there = np.isfinite(values)
    low = float(values[there].min()) if there.any() else 0.0
    step = (float(values[there].max()) - low) / steps if there.any() else 0.0
    scaled = np.zeros_like(values) if not step else (np.where(there, values, low) - low) / step
    words = np.where(there, np.rint(scaled), BLANK).astype("<u2")
    planes = words.reshape(-1, 1).view(np.uint8).T  # high bytes are alike: they shrink
    return found | {
        "low": low,
        "step": step,
        "bytes": _base64(gzip.compress(planes.tobytes(), 6, mtime=0)),
    }


def numbers(values) -> list[float | None]:
    """JSON has no NaN: None."""
    return [number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def number(value: float | None) -> float | None:
    """To six significant digits; None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def png_url(pixels: np.ndarray) -> str:
    """uint8 (height, width, 3 or 1) as a data URL."""
    buffer = io.BytesIO()
    grey = (pixels == pixels[..., :1]).all()
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))
    image.save(buffer, "PNG", optimize=True)
    return bytes_url(buffer.getvalue())


def bytes_url(png: bytes) -> str:
    """A PNG file as a data URL."""
    return f"data:image/png;base64,{_base64(png)}"


def json_text(document: Any) -> str:
    """JSON that may stand in a <script> of a page: nothing in it ends the element."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
