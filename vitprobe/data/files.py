"""Images that a user points at: one file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from vitprobe.data.imagefolder import images_in
from vitprobe.data.images import FileImages
from vitprobe.data.layout import EXTENSIONS
from vitprobe.errors import InputError


def image_files(path: str | Path) -> FileImages:
    """The image at `path`, or all of a folder (in natural order), without classes.

    Of a folder, the files directly in it count; only where there are none, those in its folders.
    mean and std are ImageNet's. Raises InputError where there is no such file or no image in it;
    a file that cannot be decoded is a CorruptImage when it is read.
    """
    where = Path(path).expanduser()
    if where.is_dir():
        paths = images_in(where, deep=False) or images_in(where, deep=True)
        if not paths:
            raise InputError(f"no images in {where}: expected {', '.join(sorted(EXTENSIONS))}")
    elif where.is_file():
        paths = [where]
    else:
        raise InputError(f"no such file or folder: {path}")
    return FileImages(str(path), "", paths, [-1] * len(paths), [])
