"""A NumPy array that a user gives: images in memory, or a tensor that is taken as it is."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from vitprobe.data.images import ArrayImages
from vitprobe.errors import InputError

SHAPES = "(N, H, W), (N, H, W, 1) or (N, H, W, 3)"


def from_array(x: np.ndarray) -> ArrayImages | torch.Tensor:
    """uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3): images, to be transformed for each model;
    floating-point (N, C, H, W): the same numbers as a tensor, contiguous.

    Raises InputError for other types and shapes.
    """
    if x.dtype.kind == "f" and x.dtype.itemsize <= 8:
        return _tensor(x)
    if x.dtype != np.uint8:
        raise InputError(
            f"an array of {x.dtype} is neither images nor inputs: give uint8 (N, H, W, 3), 0 to "
            "255, or float32 (N, C, H, W), normalised"
        )
    if x.ndim == 3 and x.shape[2] in (1, 3):
        raise InputError(
            f"an array of images must have shape {SHAPES}, got {x.shape}: x[None] makes a set of "
            "one image"
        )
    notes = check_shape(x.shape, "an array of images")
    name = "array " + "x".join(map(str, x.shape))
    data = ArrayImages(name, "", x, np.full(len(x), -1), [])
    data.notes = notes
    return data


def check_shape(shape: tuple[int, ...], what: str) -> tuple[str, ...]:
    """Notes on images of this shape: how one that may be read in two ways is read.

    Raises InputError, which begins with `what`, for another shape than SHAPES.
    """
    last = len(shape) == 4 and shape[3] in (1, 3)
    first = len(shape) == 4 and shape[1] in (1, 3)
    if len(shape) != 3 and not last:
        hint = ", channels last: x.transpose(0, 2, 3, 1)" if first else ""
        raise InputError(f"{what} must have shape {SHAPES}, got {shape}{hint}")
    if 0 in shape:
        raise InputError(f"{what} must not be empty, got {shape}")
    if first and last and shape[2] not in (1, 3):
        return (
            f"{what} of shape {shape} was read as {shape[0]} images of {shape[1]} x {shape[2]} "
            f"pixels with {shape[3]} channels; if the channels come first: "
            "x.transpose(0, 2, 3, 1)",
        )
    return ()


def _tensor(x: np.ndarray) -> torch.Tensor:
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise InputError(
            "an array of floats has its channels before height and width, "
            f"got {x.shape}: x.transpose(0, 3, 1, 2)"
        )
    x = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
    with warnings.catch_warnings():  # of a file mapped for reading; nothing here writes
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(x)
