"""Damaged images, archives and arrays: a data set, or one line, within bounds."""

import gzip
import io
import random
import tarfile
import warnings
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import safetensors.numpy
from fuzz.harness import TIMES, Case, damaged, fuzzed, main
from PIL import Image

from vitprobe.data.feature_files import feature_file
from vitprobe.errors import InputError
from vitprobe.models.reading.numpy_file import read_numpy_file

COUNTS = {"stored": 400, "image": 4000, "zip": 1000, "npz": 1400, "tar": 1000, "stream": 400}
NOISE = np.random.default_rng(0).integers(0, 256, (20, 15, 3), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8) * 3


def saved(pixels, kind, mode=None, **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def images():
    """One of each format, and of its ways to store."""
    exif, frames = Image.Exif(), [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1].copy())]
    exif[0x0112], exif[0x010E] = 6, "words"
    several = {"save_all": True, "append_images": frames}
    return [
        saved(NOISE, "PNG", exif=exif),
        saved(SMOOTH, "PNG", "P", transparency=bytes(range(256))),
        saved(SMOOTH.astype(np.uint16) * 99, "PNG"),
        saved(NOISE, "JPEG", exif=exif),
        saved(SMOOTH, "JPEG", "CMYK", progressive=True),
        saved(NOISE, "TIFF"),
        *(
            saved(SMOOTH, "TIFF", "RGB", compression=way, exif=exif)
            for way in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        ),
        saved(SMOOTH > 50, "TIFF", compression="group4"),
        saved(NOISE, "GIF", **several),
        saved(NOISE, "WEBP", lossless=True, exif=exif),
        saved(NOISE, "WEBP", **several),
        saved(NOISE, "BMP"),
        saved(SMOOTH, "BMP", "P"),
        saved(NOISE, "PPM"),
        b"P3 3 2 255 " + b"1 2 3 " * 6,
    ]


def zips():
    """Archives of two classes, stored and deflated, names with escapes among them."""
    files = []
    for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", way) as archive:
            for i, content in enumerate(images()[:4]):
                archive.writestr(f"set/test/{'ab'[i % 2]}\x1b[31m/{i}.png", content)
        files.append(file.getvalue())
    return files


def arrays():
    files = []
    for save in (np.savez, np.savez_compressed):
        for pixels in (SMOOTH[None].repeat(4, 0), np.asfortranarray(NOISE[None].repeat(3, 0))):
            file = io.BytesIO()
            save(file, images=pixels, labels=np.arange(len(pixels)))
            files.append(file.getvalue())
    return files


def shards():
    files = []
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
            for i, content in enumerate(images()[:4]):
                key = f"{i}" + "long" * 40
                for field, data in (("png", content), ("cls", b"%d" % i), ("json", b'{"a": [1]}')):
                    info = tarfile.TarInfo(f"{key}.{field}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        files.append(file.getvalue())
    return files


def rezipped(data: bytes, chance: random.Random) -> bytes:
    """The archive damaged, or its members' content or names."""
    if chance.random() < 0.5:
        return damaged(data, chance)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as copy:
        for member in source.infolist():
            content, name = source.read(member), member.filename
            if chance.random() < 0.6:  # of a .npy file most often its header
                split = chance.choice((len(content), min(128, len(content))))
                content = damaged(content[:split], chance) + content[split:]
            if chance.random() < 0.2:
                name = damaged(name.encode(), chance).decode("latin-1")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that are there twice
                copy.writestr(name.split("\0")[0] or "x", content, member.compress_type)
    return file.getvalue()


def regzipped(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return damaged(data, chance)
    return gzip.compress(damaged(gzip.decompress(data), chance), 1)


def look(data):
    """Every image of a data set, made ready for a model; unreadable ones are passed over."""
    from vitprobe.data import PairedLoader, Transform

    list(PairedLoader(data, [Transform(16)], order="file", batch_size=8, skip_bad_images=True))


def read_image(path):
    from vitprobe.data import Transform, image_files

    Transform(16)(image_files(path)[0][0])


def read_with(kind):
    def read(path):
        from vitprobe.data import load_data
        from vitprobe.text import printable

        data = load_data(f"{kind}:{path}")
        for name in getattr(data, "class_names", ()):
            assert name == printable(name), repr(name)
        look(data)

    return read


def stored():
    """Activations, and a matrix in a pickle, in each kind of file."""
    x, found = NOISE[:, :, 0].astype(np.float32), []
    arrays = {"layer.1": x, "layer.2": np.asfortranarray(x), "names": np.array(["a"] * 20)}
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        found.append(file.getvalue())
    for held in (x, x.T, {"CKA": x[:3, :3], "model1_layers": ["x", "y", "z"]}):
        file = io.BytesIO()
        np.save(file, held, allow_pickle=True)
        found.append(file.getvalue())
    return [*found, safetensors.numpy.save({"layer.1": x, "layer.2": x[:, :2].copy()})]


def read_stored(path):
    """As a matrix where it is none of safetensors; then the first rows of each array."""
    with suppress(InputError):
        read_numpy_file(path, "matrix")
    for array in feature_file(path).arrays:
        if not array.reason:
            array.rows(range(min(4, array.shape[0])))


CASES = {
    "stored": Case("damaged.safetensors", stored, read_stored),
    "image": Case("damaged.png", images, read_image),
    "zip": Case("damaged.zip", zips, read_with("zip"), rezipped),
    "npz": Case("damaged.npz", arrays, read_with("npz"), rezipped),
    "tar": Case("damaged.tar", shards, read_with("wds")),
    "stream": Case(
        "damaged.tar.gz",
        lambda: [gzip.compress(file, 1) for file in shards()],
        read_with("wds"),
        regzipped,
    ),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("case", CASES)
def test_damaged_files_are_data_or_one_line(tmp_path, case, times):
    count = COUNTS[case] * times
    ends = fuzzed(__file__, case, tmp_path, count)
    assert sum(ends.values()) == count
    assert min(ends.values()) > count / 40  # both are seen


if __name__ == "__main__":
    main(CASES)
