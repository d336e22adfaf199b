"""`imagefolder:PATH`: images in folders, one folder for each class."""

from __future__ import annotations

import os
from pathlib import Path

from vitprobe.data.images import FileImages
from vitprobe.data.layout import find_images, is_image, natural
from vitprobe.errors import InputError


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
    found = find_images(_Disk(root), split)
    data = FileImages(f"imagefolder:{path}", split, found.paths, found.labels, found.class_names)
    data.notes = found.notes
    return data


class _Disk:
    """A folder and what lies in it, as a Tree of the layouts."""

    def __init__(self, root: Path):
        self.root, self.name = root, str(root)

    def folders(self, *where: str) -> list[str]:
        entries = self.root.joinpath(*where).iterdir()
        return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")

    def images(self, *where: str, deep: bool) -> list[str]:
        return [str(path) for path in images_in(self.root.joinpath(*where), deep)]


def images_in(folder: Path, deep: bool) -> list[Path]:
    """The image files of a folder, and of those in it where `deep`, in natural order."""
    files = []
    for base, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if deep and name[0] != "."]
        files += [Path(base, name) for name in names if is_image(name)]
    return sorted(files, key=lambda file: natural(file.relative_to(folder).as_posix()))
