"""Where a split's images and classes are in a tree of folders, on disk or in an archive."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from vitprobe.errors import InputError
from vitprobe.text import printable

EXTENSIONS = {
    ".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif",
}  # fmt: skip
# The folders that serve a split, the first that exists; many sets have no labelled test part.
SPLIT_FOLDERS = {
    "train": ("train",),
    "val": ("val", "validation"),
    "test": ("test", "val", "validation"),
}


class Tree(Protocol):
    """Folders by their names from the top down; () is the top. Hidden names are left out."""

    name: str

    def folders(self, *where: str) -> list[str]:
        """Names of the folders in a folder, sorted."""

    def images(self, *where: str, deep: bool) -> list[str]:
        """The image files of a folder, of its folders too where `deep`, in natural order.

        `deep` is asked of class folders only: those in the top or in a split's folder.
        """


class Found(NamedTuple):
    """Image files, their class indices, all class names, and notes on what is odd."""

    paths: list[str]
    labels: list[int]
    class_names: list[str]
    notes: tuple[str, ...]


def find_images(tree: Tree, split: str) -> Found:
    """Images, their class indices and the class names of one split, in one of three layouts.

    train|test|val|validation/CLASS/...: the split's folder (test: val where there is no test);
    class indices follow the names of all splits together. CLASS/...: the whole set, whatever the
    split. Images without class folders: the whole set, label -1 and no classes. A class folder
    without images keeps its index, and a note names it.

    Raises InputError for a split that is not there, and where there are no images.
    """
    wanted = dict.fromkeys(name for names in SPLIT_FOLDERS.values() for name in names)
    class_names = tree.folders()
    present, where = [name for name in wanted if name in class_names], ()
    if present:
        here = [name for name in SPLIT_FOLDERS[split] if name in present]
        if not here:
            raise InputError(f"{tree.name} has no {split} folder; it has: {listed(present)}")
        where = (here[0],)
        class_names = sorted({name for part in present for name in tree.folders(part)})
    index = {name: i for i, name in enumerate(class_names)}
    paths, labels, empty = [], [], []
    for name in tree.folders(*where):
        files = tree.images(*where, name, deep=True)
        paths += files
        labels += [index[name]] * len(files)
        empty += [] if files else [name]
    if not paths:
        paths = tree.images(*where, deep=False)
        labels = [-1] * len(paths)
        class_names = class_names if where else []
        empty = []
    folder = "/".join((tree.name, *where))
    if not paths:
        raise InputError(f"no images in {folder}: expected {', '.join(sorted(EXTENSIONS))} files")
    notes = ()
    if empty:
        notes = (
            f"{folder} has class folders without images, which count as classes: {listed(empty)}",
        )
    return Found(paths, labels, class_names, notes)


def is_image(name: str) -> bool:
    """Whether a file's name, without folders, has an image's ending and is not hidden."""
    return name[0] != "." and name[name.rfind(".") :].lower() in EXTENSIONS


def natural(path: str) -> tuple[str, str]:
    """The key that puts 2.png before 10.png; `path` has slashes between folders."""
    # a number is lower than any text, and among numbers the longer is the larger, whatever its
    # length; the text itself breaks ties
    return re.sub(r"\d+", _number, path), path


def listed(names: list[str], most: int = 5) -> str:
    """The first names of a file or folder, to be shown."""
    return ", ".join(map(printable, names[:most])) + (", ..." if len(names) > most else "")


def _number(match: re.Match) -> str:
    digits = match[0].lstrip("0")
    return f"\0{chr(len(digits))}{digits}"
