"""Encoded images: few formats, no programs, upright, and bounded before they are decoded."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import forked
import numpy as np
import pytest
from PIL import Image

from vitprobe.data import CorruptImage, Transform, image_files, load_data
from vitprobe.data.decode import MAX_PIXELS, Decoding, decoded
from vitprobe.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def png_that_claims(width, height):
    chunks = b""
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ):
        body = name + data
        chunks += struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunks


OTHERS = {
    "eps": saved("EPS"),
    "postscript": b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
    "pdf": b"%PDF-1.4\n" + bytes(64),
    "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(64),
    "fli": struct.pack("<IHHHH", 200, 0xAF12, 1, 8, 8) + bytes(200),
    "ico": saved("ICO"),
    "tga": saved("TGA"),
    "jpeg2000": saved("JPEG2000"),
    "text": b"no image at all",
    "empty": b"",
}


class Started(BaseException):
    """A program was started."""


@pytest.fixture
def no_programs(monkeypatch):
    def started(*args, **kwargs):
        raise Started(args)

    for module, name in (
        *((subprocess, name) for name in ("Popen", "run", "check_call", "check_output", "call")),
        *((os, name) for name in ("system", "popen", "fork", "posix_spawn", "execv", "execve")),
    ):
        monkeypatch.setattr(module, name, started)


def test_pillow_itself_would_start_a_program(no_programs):
    from PIL import EpsImagePlugin

    EpsImagePlugin.gs_binary = None  # not looked for yet
    with pytest.raises(Started):
        Image.open(io.BytesIO(OTHERS["eps"])).load()


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_other_formats_are_refused_whatever_they_are_called(tmp_path, no_programs, kind, suffix):
    file = tmp_path / "folder" / "a" / f"x.{suffix}"
    file.parent.mkdir(parents=True)
    file.write_bytes(OTHERS[kind])
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(f"a/x.{suffix}", OTHERS[kind])
    sets = [f"imagefolder:{tmp_path}/folder", f"zip:{tmp_path}/z.zip"]
    for data in (*map(load_data, sets), image_files(file)):
        with pytest.raises(CorruptImage, match="its content is none of JPEG, PNG, PPM") as error:
            data[0]
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF"])
def test_the_documented_formats_are_read_whatever_they_are_called(kind):
    image = decoded(saved(kind), "x.eps")
    assert image.size == (9, 6) and image.mode == "RGB"


# EXIF's value: what turns the stored rows upright
TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("value", TURNS)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True, "exact": True}),
    ],
)
def test_an_image_is_seen_upright_or_as_it_is_stored(kind, options, value):
    exif = Image.Exif()
    exif[0x0112] = value
    content = saved(kind, exif=exif, **options)
    assert np.array_equal(np.asarray(decoded(content, "x")), TURNS[value](PIXELS))
    stored = decoded(content, "x", Decoding(ignore_orientation=True))
    assert np.array_equal(np.asarray(stored), PIXELS)


def test_a_photograph_and_every_way_to_name_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved("JPEG", exif=exif)
    (tmp_path / "1.jpg").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("1.jpg", content)
    for name in (f"imagefolder:{tmp_path}", f"zip:{tmp_path}/z.zip"):
        assert load_data(name)[0][0].size == (6, 9)
        assert load_data(name, ignore_orientation=True)[0][0].size == (9, 6)
    assert image_files(tmp_path)[0][0].size == (6, 9)
    assert image_files(tmp_path, ignore_orientation=True)[0][0].size == (9, 6)


def test_damaged_exif_does_not_spoil_good_pixels():
    content = saved("PNG", exif=b"Exif\0\0MM\0*" + b"\xff" * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(np.asarray(decoded(content, "x")), PIXELS)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (png_that_claims(10_000, 10_000), "10,000 x 10,000 pixels"),
        (png_that_claims(2**31 - 1, 1), "its pixels"),
        (saved("BMP")[:18] + struct.pack("<ii", 20_000, -20_000) + saved("BMP")[26:], "pixels"),
    ],
    ids=["png", "long", "bmp"],
)
def test_more_pixels_than_allowed_are_not_decoded(content, size):
    with pytest.raises(CorruptImage, match="are more than the 64,000,000 .* max_pixels") as error:
        decoded(content, "x.png")
    assert size in str(error.value) and MAX_PIXELS == 64_000_000


def test_the_limit_is_lowered_and_raised(tmp_path, monkeypatch):
    (tmp_path / "1.png").write_bytes(saved("PNG"))
    assert load_data(f"imagefolder:{tmp_path}", max_pixels=54)[0][0].size == (9, 6)
    with pytest.raises(CorruptImage, match="9 x 6 pixels are more than the 53"):
        load_data(f"imagefolder:{tmp_path}", max_pixels=53)[0]
    os.truncate(tmp_path / "1.png", 2**21)
    with pytest.raises(CorruptImage, match="2,097,152 bytes, more than the 1,048,576 .* max_pix"):
        image_files(tmp_path, max_pixels=100)[0]
    assert image_files(tmp_path)[0][0].size == (9, 6)
    with pytest.raises(InputError, match="max_pixels must be 1 or more"):
        load_data(f"imagefolder:{tmp_path}", max_pixels=0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit counts no longer
    assert load_data(f"imagefolder:{tmp_path}")[0][0].size == (9, 6)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_no_warning_of_pillows_comes_through_and_threads_leave_all_as_it_was(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    warnings.simplefilter("always")
    content, before = saved("PNG"), list(warnings.filters)
    with pytest.warns(Image.DecompressionBombWarning):  # this is what it would say
        Image.open(io.BytesIO(content))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: decoded(content, "x", Decoding(1000)), range(200)))
    assert not recwarn.list and warnings.filters == before and Image.MAX_IMAGE_PIXELS == 40


def test_damaged_tiffs_print_nothing(capfd):
    content = saved("TIFF", compression="tiff_lzw")
    for start in range(8, 60, 4):
        try:
            decoded(content[:start] + b"\xff\xff" + content[start + 2 :], "x")
        except CorruptImage as error:
            assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_an_error_is_one_line_without_escapes():
    error = CorruptImage("a\x1b]0;title\x07\n.png", "many\nlines \x1b[31m")
    assert str(error).isprintable() and error.path == "a\x1b]0;title\x07\n.png"
    assert r"a\x1b]0;title\x07\n.png (many lines \x1b[31m)" in str(error)


BOMBS_END = ["DecompressionBombError", *["InputError"] * 2, "DecompressionBombError"]
BOMBS = """
import resource, sys, time
from pathlib import Path
from vitprobe.data import CorruptImage, Transform, load_data
load_data(sys.argv[1])[0]  # imports what is imported late
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30),) * 2)
for name in sys.argv[2:]:
    data = load_data(name)
    for index in range(len(data)):
        start = time.monotonic()
        try:
            x = Transform(224)(data[index][0])
            print(tuple(x.shape))
        except CorruptImage as error:
            print(type(error.__cause__).__name__)
        assert time.monotonic() - start < 5
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_bombs_stay_within_a_gigabyte(tmp_path):
    """A BMP of 5 GB by its header, 300 MB and 200 MB of zeros deflated, images of one row."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (1_000_000, 1), (1, 2, 3)).save(folder / "0.png")
    Image.new("RGB", (1, 1_000_000), (1, 2, 3)).save(folder / "1.png")
    (folder / "2.png").write_bytes(png_that_claims(40_000, 40_000))
    header = saved("BMP")[:18] + struct.pack("<ii", 40_000, 40_000) + saved("BMP")[26:54]
    (folder / "3.bmp").write_bytes(header)
    os.truncate(folder / "3.bmp", 5_000_000_000)  # sparse
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i, size in enumerate((300_000_000, 200_000_000)):
            archive.writestr(f"{i}.bmp", header + bytes(size))
    (tmp_path / "one").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "one" / "1.png")
    names = [f"imagefolder:{tmp_path}/one", f"imagefolder:{folder}", f"zip:{tmp_path}/z.zip"]
    run = forked.python("-c", BOMBS, *names)
    assert run.returncode == 0, run.stderr
    shapes = ["(3, 224, 224)"] * 2
    assert run.stdout.split("\n")[:-1] == shapes + BOMBS_END and not run.stderr


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(40, 4000), (4000, 40)])
def test_a_long_image_is_resized_where_it_is_kept(monkeypatch, interpolation, size):
    from vitprobe.data import transforms

    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    transform = Transform(32, crop_pct=0.9, interpolation=interpolation)
    part = transform.pixels(noise).astype(int)
    monkeypatch.setattr(transforms, "MOST_CUT_AWAY", 10**9)
    whole = transform.pixels(noise).astype(int)
    assert np.abs(part - whole).max() <= 2 and (part != whole).mean() < 0.2


@pytest.mark.parametrize("shape", [(40, 2000), (33, 40), (300, 400), (2000, 40)])
def test_ordinary_images_are_resized_as_ever(shape):
    from torchvision.transforms.v2 import functional as F

    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8))
    long = 32 * max(shape) // min(shape)
    size = [32, long] if shape[0] < shape[1] else [long, 32]
    want = F.center_crop(F.resize(image, size, antialias=True), [32, 32])
    assert np.array_equal(Transform(32).pixels(image), np.asarray(want))
