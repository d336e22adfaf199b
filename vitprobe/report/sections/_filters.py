"""The filters of a model's first convolution as a gallery."""

from __future__ import annotations

import numpy as np
import xarray as xr

from vitprobe.figures.filters import filter_colours
from vitprobe.report.kinds import Gallery

MOST = 256  # filters of one gallery
_DIMS = ("channel", "filter_row", "filter_col")


def filter_gallery(result: xr.Dataset) -> list[Gallery]:
    """Principal components of the filters, where the result has them, and the filters; or nothing.

    Grey is 0; each has a scale of its own.
    """
    if "filters" not in result:
        return []
    model, found = str(result.attrs.get("model")), []
    first = result.attrs.get("filters_of")
    of = f"the first convolution, {first}," if first else "the patch embedding"
    how = "Grey is 0, and each has its own scale."
    if "components" in result:
        shares = result["component_variance"].values
        found.append(
            Gallery(
                f"Principal components of the filters of {model}",
                _pixels(result["components"].transpose("component", *_DIMS).values),
                [f"{share:.1%}" for share in shares],
                "component",
                f"Of {of} with their part of the filters' variance. {how}",
            )
        )
    filters = result["filters"].transpose("filter", *_DIMS).values
    cut = f" The first {MOST} of {len(filters)}." if len(filters) > MOST else ""
    caption = f"The {len(filters)} filters of {of} of {filters.shape[2]} x {filters.shape[3]} "
    caption += f"pixels. {how}{cut}"
    gallery = Gallery(f"Filters of {model}", _pixels(filters[:MOST]), (), "filter", caption)
    return [*found, gallery]


def _pixels(filters: np.ndarray) -> np.ndarray:
    """(n, channels, height, width) -> uint8 (n, height, width, 3)."""
    return np.rint(255 * np.nan_to_num(filter_colours(filters), nan=0.5)).astype(np.uint8)
