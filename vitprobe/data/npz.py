"""`npz:PATH`: images and labels in one NumPy file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from vitprobe.data.images import ArrayImages
from vitprobe.errors import InputError

MOST_CLASSES = 1_000_000


def npz(path: str | Path, split: str) -> ArrayImages:
    """Keys `images`, uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), and `labels`, integers (N,).

    The whole set, whatever the split. Classes are 0 .. max(labels); mean and std are the exact
    ones of these images, computed when asked for. Nothing is unpickled. Raises InputError that
    names what is wrong: file, key, dtype, shape, length or class index.
    """
    images, labels = _read(Path(path).expanduser())
    where = f"npz:{path}"
    if images.dtype != np.uint8:
        raise InputError(f"{where}: images must be uint8 (0..255), got {images.dtype}")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise InputError(
            f"{where}: images must have shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), "
            f"got {images.shape}"
        )
    if 0 in images.shape:
        raise InputError(f"{where}: images is empty, shape {images.shape}")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"{where}: labels must be integers of shape (N,), got {labels.dtype} {labels.shape}"
        )
    if len(labels) != len(images):
        raise InputError(f"{where}: {len(images)} images but {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise InputError(
            f"{where}: labels must be class indices from 0, found {labels.min()} to {labels.max()}"
        )
    return ArrayImages(where, split, images, labels, range(int(labels.max()) + 1))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    where = f"npz:{path}"
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InputError(f"{where} is a single array: save images and labels in one .npz")
        with file:
            missing = [key for key in ("images", "labels") if key not in file.files]
            if missing:
                keys = ", ".join(file.files) or "none"
                raise InputError(f"{where}: no {' and no '.join(missing)}; its keys are: {keys}")
            return file["images"], file["labels"]
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{where}: no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{where} cannot be read: truncated, not an .npz file, or with Python objects "
            f"in it, which are never loaded ({reason})"
        ) from error
