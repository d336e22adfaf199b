"""Results whose every text tries to be something else than text."""

import functools

import numpy as np
import xarray as xr

MARK = "vitprobeWasHere"  # what would be set in the page's window if any of it ran
RUN = f"window.{MARK}=1"
NASTY = (
    f"</script><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'"><svg onload={RUN}>',
    f"javascript:{RUN}",
    f"<!--<script>{RUN}//",
    f"{{{{constructor.constructor('{RUN}')()}}}}${{{RUN}}}%s",
    "<a href=https://example.invalid/>&lt;b&gt;<style>*{display:none}</style>",
    "\u2028\u2029\x00\x1b]0;owned\x07\r\x7f",
    "\u202egnp.exe\u2066\u200f\ufeff",
    "long" * 2500,
)
PARSED = ("analysis", "run", "query")  # attributes of a few known words
KNOWN = ("group", "kind", "figure", "unit")  # and variables


@functools.cache
def nasty(text: str) -> str:
    """The text with something behind it: of the same text the same, of others others."""
    return text and text + NASTY[nasty.cache_info().currsize % len(NASTY)]


def poisoned(result: xr.Dataset) -> xr.Dataset:
    """The result, and behind each name, reason and attribute something that would do harm."""
    found = result.copy()
    for name, column in result.variables.items():
        if column.dtype.kind in "OUS" and name not in KNOWN:
            values = np.array([nasty(str(each)) for each in column.values.ravel()], object)
            put = (column.dims, values.reshape(column.shape), column.attrs)
            found = (
                found.assign_coords({name: put})
                if name in result.coords
                else found.assign({name: put})
            )
    attrs = {
        key: nasty(value) if isinstance(value, str) and key not in PARSED else value
        for key, value in result.attrs.items()
    }
    notes = "\n".join(NASTY[:7])
    return found.assign_attrs(
        attrs | {"notes": notes, "command": f"vitprobe {NASTY[0]}", NASTY[1]: NASTY[2]}
    )
