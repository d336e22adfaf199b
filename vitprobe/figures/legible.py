"""Results as figures show them: whatever a file holds as text is seen, and does nothing."""

import numpy as np
import xarray

from vitprobe.text import printable


def legible(result: xarray.Dataset) -> xarray.Dataset:
    """The same result; in its attributes and names, control characters are escaped.

    An attribute that is neither a text nor one number becomes its text.
    """
    names = {
        name: (column.dims, np.array([printable(text, None) for text in column.values], object))
        for name, column in result.coords.items()
        if column.ndim == 1 and column.dtype.kind in "OUS"
    }
    attrs = {key: _legible(value) for key, value in result.attrs.items()}
    return result.assign_coords(names).assign_attrs(attrs)


def _legible(value: object) -> object:
    return value if isinstance(value, (int, float, np.number)) else printable(value, None)
