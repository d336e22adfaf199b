"""`imagefolder:PATH`: images in folders, one folder for each class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from vitprobe.data.images import FileImages
from vitprobe.data.layout import find_images, is_image, listed, natural
from vitprobe.errors import InputError
from vitprobe.files import expanded
from vitprobe.text import printable


def imagefolder(path: str | Path, split: str) -> FileImages:
    """The images under `path`, found in one of three layouts.

    `path`/train|test|val|validation/CLASS/...: the split's folder (test: val where there is no
    test); class indices follow the names of all splits together. `path`/CLASS/...: the whole set,
    whatever the split. Images without class folders: the whole set, label -1 and no classes.

    Classes are sorted by name, as torchvision's ImageFolder does, so that a checkpoint's outputs
    mean the same; files follow by class, in natural order (2.png before 10.png). Hidden files
    and folders are passed over; a folder counts once, however many links lead to it, and a note
    names those that were left out. mean and std are ImageNet's. Raises InputError for a missing,
    unreadable or empty folder and for a split that is not there.
    """
    root = expanded(path, "imagefolder")
    if not root.is_dir():
        raise InputError(f"imagefolder:{printable(path)} is not a folder: give the path of one")
    tree = _Disk(root)
    found = find_images(tree, split)
    data = FileImages(f"imagefolder:{path}", split, found.paths, found.labels, found.class_names)
    data.notes = found.notes + tree.notes
    return data


class _Disk:
    """A folder and what lies in it, as a Tree of the layouts."""

    def __init__(self, root: Path):
        self.root, self.name = root, printable(root, longest=None)
        self.notes: tuple[str, ...] = ()
        self._classes: dict[tuple[str, ...], dict[str, list[str]]] = {}

    def folders(self, *where: str) -> list[str]:
        entries = _entries(os.path.join(self.root, *where))
        return [entry.name for entry in entries if entry.name[0] != "." and _is_folder(entry)]

    def images(self, *where: str, deep: bool) -> list[str]:
        if not deep:
            return images_in(os.path.join(self.root, *where), deep=False).files
        *above, name = where
        return self._by_class(*above).get(name, [])

    def _by_class(self, *where: str) -> dict[str, list[str]]:
        """The images of each folder in a folder; all are looked through together, since a link in
        one may lead to another."""
        if where not in self._classes:
            base = os.path.join(self.root, *where)
            found = images_in(base, deep=True)
            self.notes += found.notes
            classes = self._classes[where] = {}
            for file in found.files:
                name, below, _ = file[len(base) :].lstrip(os.sep).partition(os.sep)
                if below:
                    classes.setdefault(name, []).append(file)
        return self._classes[where]


class Walked(NamedTuple):
    """Image files, in natural order, and a note where links were left out."""

    files: list[str]
    notes: tuple[str, ...]


def images_in(folder: str | Path, deep: bool) -> Walked:
    """The image files of a folder, and of those in it where `deep`.

    Links are followed last, and a folder (by device and inode) is entered once: so it has an end,
    and no image is there twice. Raises InputError for a folder that cannot be read.
    """
    folder = str(folder)
    files, twice, links, waiting, seen = [], [], [], [folder], set()
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            twice.append(here)
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(here):
            if is_image(entry.name) and not _is_folder(entry):
                files.append(entry.path)
            elif deep and entry.name[0] != "." and _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(entry.path)
    files.sort(key=lambda file: natural(file[len(folder) :].replace(os.sep, "/")))
    notes = ()
    if twice:
        where = printable(folder, longest=None)
        names = [file[len(folder) :].lstrip(os.sep) for file in sorted(twice)]
        notes = (
            f"folders of {where} that are there already, under other names, were left out: "
            f"{listed(names)}",
        )
    return Walked(files, notes)


def _entries(folder: str) -> list[os.DirEntry]:
    """What is in a folder, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"cannot read folder {printable(folder)}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
