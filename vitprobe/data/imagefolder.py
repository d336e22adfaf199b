"""`imagefolder:PATH`: images in folders, one folder for each class."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vitprobe.data.images import FileImages
from vitprobe.errors import InputError

EXTENSIONS = {
    ".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif",
}  # fmt: skip
# The folders that serve a split, the first that exists; many sets have no labelled test part.
SPLIT_FOLDERS = {
    "train": ("train",),
    "val": ("val", "validation"),
    "test": ("test", "val", "validation"),
}


def imagefolder(path: str | Path, split: str) -> FileImages:
    """The images under `path`, found in one of three layouts.

    `path`/train|test|val|validation/CLASS/...: the split's folder (test: val where there is no
    test); class indices follow the names of all splits together. `path`/CLASS/...: the whole set,
    whatever the split. Images without class folders: the whole set, label -1 and no classes.

    Classes are sorted by name, as torchvision's ImageFolder does, so that a checkpoint's outputs
    mean the same; files follow by class, in natural order (2.png before 10.png). Hidden files
    and folders are passed over. mean and std are ImageNet's. Raises InputError for a missing or
    empty folder and for a split that is not there.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"imagefolder:{path} is not a folder: give the path of one")
    wanted = dict.fromkeys(name for names in SPLIT_FOLDERS.values() for name in names)
    present = [name for name in wanted if (root / name).is_dir()]
    folder, class_names = root, _classes(root)
    if present:
        here = [name for name in SPLIT_FOLDERS[split] if name in present]
        if not here:
            raise InputError(f"{root} has no {split} folder; it has: {', '.join(present)}")
        folder = root / here[0]
        class_names = sorted({name for part in present for name in _classes(root / part)})
    index = {name: i for i, name in enumerate(class_names)}
    paths, labels = [], []
    for name in _classes(folder):
        files = images_in(folder / name, deep=True)
        paths += files
        labels += [index[name]] * len(files)
    if not paths:
        paths = images_in(folder, deep=False)
        labels = [-1] * len(paths)
        class_names = class_names if folder != root else []
    if not paths:
        raise InputError(f"no images in {folder}: expected {', '.join(sorted(EXTENSIONS))} files")
    return FileImages(f"imagefolder:{path}", split, paths, labels, class_names)


def _classes(folder: Path) -> list[str]:
    return sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
    )


def images_in(folder: Path, deep: bool) -> list[Path]:
    """The image files of a folder, and of those in it where `deep`, in natural order."""
    files = []
    for base, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if deep and name[0] != "."]
        files += [
            Path(base, name)
            for name in names
            if name[0] != "." and os.path.splitext(name)[1].lower() in EXTENSIONS
        ]
    return sorted(files, key=lambda file: _natural(file.relative_to(folder)))


def _natural(path: Path) -> list:
    # digits and text alternate in the split, so numbers meet numbers; the text itself breaks ties
    pieces = re.split(r"(\d+)", path.as_posix())
    return [[int(p) if i % 2 else p for i, p in enumerate(pieces)], path.as_posix()]
