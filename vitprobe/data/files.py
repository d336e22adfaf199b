"""Images that a user points at: one file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from vitprobe.data.decode import Decoding
from vitprobe.data.imagefolder import images_in
from vitprobe.data.images import FileImages
from vitprobe.data.layout import EXTENSIONS
from vitprobe.errors import InputError
from vitprobe.files import expanded, regular_file
from vitprobe.text import printable


def image_files(
    path: str | Path, *, max_pixels: int | None = None, ignore_orientation: bool = False
) -> FileImages:
    """The image at `path`, or all of a folder (in natural order), without classes.

    Of a folder, the files directly in it count; only where there are none, those in its folders.
    mean and std are ImageNet's; max_pixels, ignore_orientation: as of `load_data`. Raises
    InputError where there is no such file or no image in it; a file that cannot be decoded is a
    CorruptImage when it is read.
    """
    where, notes = expanded(path, "image"), ()
    if where.is_dir():
        found = images_in(where, deep=False)
        paths, notes = found if found.files else images_in(where, deep=True)
        if not paths:
            expected = ", ".join(sorted(EXTENSIONS))
            raise InputError(f"no images in {printable(where)}: expected {expected}")
    elif where.exists():
        paths = [regular_file(where, "image")]
    else:
        raise InputError(f"no such file or folder: {printable(path)}")
    data = FileImages(str(path), "", paths, [-1] * len(paths), [])
    data.notes, data.decoding = notes, Decoding(max_pixels, ignore_orientation)
    return data
