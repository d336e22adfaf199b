"""A NumPy array that a user gives: images in memory, or a tensor that is taken as it is."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from vitprobe.data.images import ArrayImages
from vitprobe.errors import InputError


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
    if x.ndim == 4 and x.shape[3] not in (1, 3) and x.shape[1] in (1, 3):
        raise InputError(
            f"an array of images has its channels last, got {x.shape}: x.transpose(0, 2, 3, 1)"
        )
    one_image = x.ndim == 3 and x.shape[2] in (1, 3)
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)) or one_image:
        raise InputError(
            "an array of images must have shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), "
            f"got {x.shape}" + (": x[None] makes a set of one image" if one_image else "")
        )
    if 0 in x.shape:
        raise InputError(f"the array of images is empty: {x.shape}")
    name = "array " + "x".join(map(str, x.shape))
    return ArrayImages(name, "", x, np.full(len(x), -1), [])


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
