"""Encoded images become pixels here and nowhere else: few formats, bounded, upright, in RGB."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from vitprobe.data.transforms import to_pil
from vitprobe.errors import InputError, option
from vitprobe.files import open_file
from vitprobe.text import printable

# Pillow is given no others: some of its plugins start programs (PostScript: Ghostscript).
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
MAX_PIXELS = 64_000_000
BYTES_A_PIXEL = 4  # of an encoded image, for as many pixels as are allowed ...
LEAST_BYTES = 1 << 20  # ... but so many are always read

_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {  # its value: what puts the stored rows right
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_AS_STORED = {**_UPRIGHT, 6: _UPRIGHT[8], 8: _UPRIGHT[6]}  # the way back


class CorruptImage(InputError):
    """An image that cannot be decoded to its last row; `path` says which."""

    def __init__(self, path, reason: object = ""):
        self.path, self.reason = str(path), printable(" ".join(str(reason).split()))
        detail = f" ({self.reason})" if self.reason else ""
        super().__init__(
            f"unreadable image {printable(self.path)}{detail}: repair or remove it, "
            f"or leave such images out with {option('skip_bad_images', True)}"
        )

    def __reduce__(self):  # worker processes send it to the main one
        return type(self), (self.path, self.reason)


@dataclass(frozen=True)
class Decoding:
    """How images are decoded.

    max_pixels: an image of more is refused before it is decoded, and one of more than
        `max_bytes`, which follow from it, before it is read; None: MAX_PIXELS.
    ignore_orientation: keep the rows as they are stored, whatever EXIF says of how the camera was
        held; else the image is turned to be seen upright.
    """

    max_pixels: int | None = None
    ignore_orientation: bool = False

    def __post_init__(self):
        if self.max_pixels is None:
            object.__setattr__(self, "max_pixels", MAX_PIXELS)
        if self.max_pixels < 1:
            raise InputError(f"max_pixels must be 1 or more, got {self.max_pixels}")

    @property
    def max_bytes(self) -> int:
        """Of an encoded image."""
        return max(LEAST_BYTES, BYTES_A_PIXEL * self.max_pixels)

    def too_many(self, pixels: str) -> str:
        """Why an image of so many is refused."""
        return (
            f"{pixels} are more than the {self.max_pixels:,} that are decoded: "
            f"{option('max_pixels')} raises that"
        )

    def check_bytes(self, size: int) -> None:
        """Raises InputError for an encoded image of more bytes than are read."""
        if size > self.max_bytes:
            raise InputError(
                f"{size:,} bytes, more than the {self.max_bytes:,} that are read: "
                f"{option('max_pixels')} raises that"
            )


@dataclass(frozen=True)
class EncodedImage:
    """A file's content, not decoded yet; `path` says where it came from."""

    path: str
    content: bytes
    how: Decoding = Decoding()

    def decode(self) -> Image.Image:
        """The image in RGB; raises CorruptImage."""
        return decoded(self.content, self.path, self.how)


def decoded(
    content: bytes | str | Path, path: str | Path, how: Decoding = Decoding()
) -> Image.Image:
    """The image in a file, given as its content or its path, decoded to its last row, in RGB.

    Of several frames or pages the first. Raises CorruptImage, which names `path`, also for formats
    other than FORMATS, whatever the file is called.
    """
    try:
        if not isinstance(content, bytes):
            with open_file(content, "image") as file:
                how.check_bytes(os.fstat(file.fileno()).st_size)
                content = file.read(how.max_bytes)
        # in memory: read from a file, the lengths that it claims would be made room for
        return _decoded(io.BytesIO(content), how)
    except MemoryError as error:
        raise CorruptImage(path, "no memory for its pixels") from error
    except Image.UnidentifiedImageError as error:
        raise CorruptImage(path, f"its content is none of {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:  # of its own check, before ours
        raise CorruptImage(path, how.too_many("its pixels")) from error
    except Exception as error:  # Pillow's decoders raise many types on damaged bytes
        raise CorruptImage(path, error) from error


def _decoded(file: BinaryIO, how: Decoding) -> Image.Image:
    with _quiet(how.max_pixels), Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > how.max_pixels:
            raise InputError(how.too_many(f"{width:,} x {height:,} pixels"))
        stored = 1
        if image.format == "TIFF":
            _silence_libtiff()
            stored = _orientation(image)
        image.load()
        left = _orientation(image)  # to do; nothing where Pillow has done it, as it does for TIFF
        if not how.ignore_orientation:
            turn = _UPRIGHT.get(left)
        else:
            turn = _AS_STORED.get(stored) if left == 1 else None
        return to_pil(image if turn is None else image.transpose(turn))


@cache
def _silence_libtiff() -> None:
    """It prints what is wrong with a file, beside the error that is raised."""
    try:
        handler = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):  # built in some other way
        return
    handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    handler(None)


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1 where there is none, or EXIF that cannot be read: the pixels may be good."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # of a damaged block of tags: many types
        return 1
    return value if isinstance(value, int) else 1


# Pillow also logs what it raises; where nobody listens, Python would print that
logging.getLogger("PIL").addHandler(logging.NullHandler())
_lock, _limits = threading.Lock(), []  # of the images that are being decoded now
_PILLOWS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # an entry of warnings.filters
_pillow_limit = Image.MAX_IMAGE_PIXELS


@contextmanager
def _quiet(max_pixels: int) -> Iterator[None]:
    """Inside, in every thread, Pillow warns of nothing and its own limit is ours.

    Its warnings are of metadata, and of sizes that are checked here; what is wrong with the pixels
    it raises. `warnings.catch_warnings` would not do: threads that leave it in another order than
    they entered it leave the filters changed.
    """
    global _pillow_limit
    with _lock:
        if not _limits:
            _pillow_limit = Image.MAX_IMAGE_PIXELS
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
        warnings.filters.insert(0, _PILLOWS)
    try:
        yield
    finally:
        with _lock:
            _limits.remove(max_pixels)
            Image.MAX_IMAGE_PIXELS = max(_limits, default=_pillow_limit)
            if _PILLOWS in warnings.filters:  # not where somebody put other filters in its place
                warnings.filters.remove(_PILLOWS)
