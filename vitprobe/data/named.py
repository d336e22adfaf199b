"""Names -> data sets."""

from __future__ import annotations

from pathlib import Path

from vitprobe.data.decode import Decoding
from vitprobe.data.digits import digits
from vitprobe.data.downloads import SETS, torchvision_set
from vitprobe.data.hub_datasets import hub_dataset
from vitprobe.data.imagefolder import imagefolder
from vitprobe.data.images import ImageData, ImageStream
from vitprobe.data.layout import SPLIT_FOLDERS
from vitprobe.data.npz import npz
from vitprobe.data.web_shards import web_shards
from vitprobe.data.zipped import zipped
from vitprobe.errors import InputError, did_you_mean
from vitprobe.files import expanded
from vitprobe.text import printable

NAMES = ("digits", *SETS)
FROM_PATH = {
    "imagefolder": imagefolder,
    "zip": zipped,
    "npz": npz,
    "wds": web_shards,
    "hfds": hub_dataset,
}
WHERE = {"wds": "PATTERN", "hfds": "NAME_OR_FOLDER"}  # what follows the colon, where not PATH


def load_data(
    name: str,
    *,
    split: str = "test",
    data_dir: str | Path | None = None,
    max_pixels: int | None = None,
    ignore_orientation: bool = False,
) -> ImageData | ImageStream:
    """The data set called `name`: `(PIL image in RGB, int label)` by index.

    name: `digits` (embedded), `cifar10`, `cifar100`, `svhn`, `mnist`, `fashionmnist` (downloaded
        on first use), `imagefolder:PATH`, `zip:PATH` (of such a folder), `npz:PATH` (keys images,
        labels), `wds:PATTERN` (WebDataset shards; an ImageStream where they have no index) or
        `hfds:NAME_OR_FOLDER[:COLUMN]` (Hugging Face's `datasets`).
    split: `train` or `test`; for those with a colon also `val`.
    data_dir: where downloads are kept; default `$VITPROBE_DATA`, else `~/.cache/vitprobe`.
    max_pixels: an encoded image of more is a CorruptImage; None: 64 million.
    ignore_orientation: keep the rows of an image as they are stored, whatever its EXIF says of how
        the camera was held.

    Grey images come in three equal channels. Raises InputError for an unknown name or split, no
    network, and files that are missing or wrong.
    """
    kind, colon, path = str(name).partition(":")
    if colon and kind in FROM_PATH:
        _check_split(name, split, tuple(SPLIT_FOLDERS))
        if not path:
            raise InputError(f"{printable(name)} lacks its path: {_form(kind)}")
        data = FROM_PATH[kind](path, split)
        data.decoding = Decoding(max_pixels, ignore_orientation)
        return data
    if name not in NAMES:
        raise InputError(f"unknown data set {printable(name)!r}{_hint(name)}")
    _check_split(name, split, ("train", "test"))
    return digits(split) if name == "digits" else torchvision_set(name, split, data_dir)


def _check_split(name: str, split: str, splits: tuple[str, ...]) -> None:
    if split not in splits:
        raise InputError(
            f"{printable(name)} has no split {split!r}; its splits are: {', '.join(splits)}"
        )


def _form(kind: str) -> str:
    return f"{kind}:{WHERE.get(kind, 'PATH')}"


def _hint(name: str) -> str:
    path, name = expanded(name, "data set"), printable(name, longest=None)
    if path.suffix == ".parquet" or any(path.glob("*.arrow")) or any(path.glob("*.parquet")):
        return f": for a data set of Hugging Face write hfds:{name}"
    if {".tar", ".tgz"}.intersection(path.suffixes) or any(path.glob("*.tar")):
        folder = "/*.tar" if path.is_dir() else ""
        return f": for WebDataset shards write wds:{name}{folder}"
    if path.is_dir():
        return f": for a folder of images write imagefolder:{name}"
    if Path(name).suffix == ".npz":
        return f": for a NumPy file write npz:{name}"
    if Path(name).suffix.lower() == ".zip":
        return f": for an archive of images write zip:{name}"
    forms = [_form(kind) for kind in FROM_PATH]
    near = did_you_mean(name, [*NAMES, *forms])
    return near or f": use one of {', '.join([*NAMES, *forms])}"
