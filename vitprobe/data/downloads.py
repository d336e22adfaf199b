"""Data sets that torchvision downloads: CIFAR-10 and -100, SVHN, MNIST, Fashion-MNIST."""

from __future__ import annotations

import http.client
import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vitprobe.data.images import ArrayImages
from vitprobe.errors import InputError, option
from vitprobe.files import expanded

SILENT_SECONDS = 30  # a server that says nothing for so long counts as no network

# name: torchvision's class, mean and std of the training images in [0, 1] (the usual values)
SETS = {
    "cifar10": ("CIFAR10", ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))),
    "cifar100": ("CIFAR100", ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))),
    "svhn": ("SVHN", ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))),
    "mnist": ("MNIST", ((0.1307,) * 3, (0.3081,) * 3)),
    "fashionmnist": ("FashionMNIST", ((0.2860,) * 3, (0.3530,) * 3)),
}


def default_data_dir() -> Path:
    """`$VITPROBE_DATA`, else `~/.cache/vitprobe`."""
    return expanded(os.environ.get("VITPROBE_DATA") or "~/.cache/vitprobe", "VITPROBE_DATA")


def torchvision_set(name: str, split: str, data_dir: str | Path | None) -> ArrayImages:
    """A set of `SETS`, `train` or `test`, read from `data_dir` in torchvision's layout.

    What is missing is downloaded beside it and moved in when complete. Raises InputError without
    network, for a folder that cannot be written, and for files there that cannot be read.
    """
    class_name, mean_std = SETS[name]
    folder = default_data_dir() if data_dir is None else expanded(data_dir, option("data_dir"))
    try:
        found = _open(class_name, split, folder)
    except RuntimeError:  # torchvision's word for "not there or wrong checksum"
        _download(name, class_name, split, folder)
        found = _open(class_name, split, folder)
    except Exception as error:  # a damaged file without a checksum (MNIST): any parser error
        raise InputError(
            f"the {name} files in {folder} cannot be read ({_line(error)}): "
            "delete them, and they are downloaded again"
        ) from error
    images, labels = np.asarray(found.data), found.labels if name == "svhn" else found.targets
    if name == "svhn":  # (N, 3, 32, 32)
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    names = getattr(found, "classes", range(10))
    return ArrayImages(name, split, images, labels, names, mean_std)


def _open(class_name: str, split: str, folder: Path, download: bool = False):
    from torchvision import datasets

    which = {"split": split} if class_name == "SVHN" else {"train": split == "train"}
    return getattr(datasets, class_name)(folder, download=download, **which)


def _download(name: str, class_name: str, split: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as stage:
            _fetch(name, class_name, split, Path(stage), folder)
            for file in [path for path in Path(stage).rglob("*") if path.is_file()]:
                target = folder / file.relative_to(stage)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)  # whole files only, whenever the run is stopped
    except OSError as error:
        raise InputError(
            f"cannot write to {folder} ({_line(error)}): choose another {option('data_dir')}"
        ) from error


def _fetch(name: str, class_name: str, split: str, stage: Path, folder: Path) -> None:
    try:
        with _patience(SILENT_SECONDS):
            _open(class_name, split, stage, download=True)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot download {name} to {folder} ({_line(error)}): is there a network? "
            f"{option('dataset', 'digits')} needs none"
        ) from error


@contextmanager
def _patience(seconds: float):
    """torchvision opens its connections without a timeout; a silent one would hang for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
