"""Archives, arrays and shards that lie, expand without end, or set a terminal's colours."""

import gzip
import io
import os
import struct
import tarfile
import time
import warnings
import zipfile

import numpy as np
import pytest
from untrusted_data import ESCAPE, names, png, refused

from vitprobe.data import CorruptImage, PairedLoader, Transform, load_data
from vitprobe.errors import InputError, VitprobeWarning

# Archives


def archive(path, files, way=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", way) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in files:
            opened.writestr(zipfile.ZipInfo(name), content, way)
    return path


@pytest.mark.parametrize("name", ["{}/1.png", "a/" * 15 + "{}/1.png"])
def test_names_of_many_folders_take_no_time(tmp_path, name):
    file = archive(tmp_path / "z.zip", [(name.format(i), b"") for i in range(20_000)])
    start = time.monotonic()
    assert len(load_data(f"zip:{file}")) == 20_000 and time.monotonic() - start < 5


def test_a_name_of_ten_thousand_folders(tmp_path):
    files = [("a/" * 10_000 + f"{i}.png", png()) for i in range(100)] + [("b/1.png", png())]
    file = archive(tmp_path / "z.zip", files)
    start = time.monotonic()
    data = load_data(f"zip:{file}")
    assert time.monotonic() - start < 5
    assert data.class_names == ["a", "b"] and data.labels.tolist() == [0] * 100 + [1]
    assert data[99][0].size == (4, 4) and len(repr(data)) < 1000
    assert data.paths[9].endswith("/9.png") and data.paths[10].endswith("/10.png")


def test_of_two_members_of_one_name_the_last_counts(tmp_path):
    file = archive(tmp_path / "z.zip", [("a/1.png", png(1)), ("a/1.png", png(2))])
    data = load_data(f"zip:{file}")
    assert len(data) == 1 and data[0][0].getpixel((0, 0)) == (2, 2, 2)
    assert any("the last counts: a/1.png" in note for note in data.notes)


def test_names_that_lead_out_of_the_archive_are_passed_over(tmp_path):
    bad = ["/etc/1.png", "../1.png", "a/../../1.png", "a//1.png", "/1.png", "./1.png"]
    file = archive(tmp_path / "z.zip", [(name, png()) for name in (*bad, "a/1.png", "b/.png")])
    assert names(load_data(f"zip:{file}"), file) == ["a/1.png"]
    refused(f"zip:{archive(tmp_path / 'out.zip', [(name, b'') for name in bad])}", "no images in")


def test_members_with_escapes_and_newlines(tmp_path):
    file = archive(tmp_path / f"z{ESCAPE}.zip", [(f"{ESCAPE}\n/1\r\n{ESCAPE}.png", b"bad")])
    data = load_data(f"zip:{file}")
    assert data.class_names == [r"\x1b]0;title\x07\x1b[31m\n"]
    with pytest.raises(CorruptImage) as error:
        data[0]
    assert str(error.value).isprintable() and data.name.isprintable()


def changed_sizes(content, size):
    """The declared uncompressed size of every member, in both of its headers."""
    for header, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = content.find(header)
        while start >= 0:
            at = start + offset
            content = content[:at] + struct.pack("<I", size) + content[at + 4 :]
            start = content.find(header, start + 4)
    return content


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 7, 2**32 - 2])
def test_sizes_that_lie(tmp_path, way, size):
    file = archive(tmp_path / "z.zip", [("1.png", png())], way)
    file.write_bytes(changed_sizes(file.read_bytes(), size))
    with pytest.raises(CorruptImage) as error:
        load_data(f"zip:{file}")[0]
    assert ("bytes, more than the 256,000,000" in str(error.value)) == (size > 2**31)


def test_members_that_overlap_and_other_compressions(tmp_path):
    """Two entries of the directory for one stored file (Fifield's kernel), and bzip2."""
    file = archive(tmp_path / "z.zip", [("1.png", png())])
    content = file.read_bytes()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry = content[start:end]
    again = entry.replace(b"1.png", b"2.png")
    tail = content[end:]
    counts = struct.pack("<HHI", 2, 2, 2 * len(entry))
    file.write_bytes(content[:start] + entry + again + tail[:8] + counts + tail[16:])
    data = load_data(f"zip:{file}")
    assert len(data) == 2
    with pytest.raises(CorruptImage, match="differ|Overlap"):
        data[1]
    archive(file, [("1.png", png())], zipfile.ZIP_BZIP2)
    with pytest.raises(CorruptImage, match="otherwise than by deflate"):
        load_data(f"zip:{file}")[0]


# Arrays

GOOD = {"images": np.zeros((6, 5, 4, 3), np.uint8), "labels": np.arange(6)}


def npy(header, content=b""):
    header = header.encode("latin-1")
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


def npz(path, images, way=zipfile.ZIP_STORED):
    labels = io.BytesIO()
    np.save(labels, GOOD["labels"])
    return archive(path, [("images.npy", images), ("labels.npy", labels.getvalue())], way)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (1048576, 1024, 1024, 1), }", "should"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (10, 10, 10, 1), }", "should have"),
        ("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 10, 10, 1), }", "should have"),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 3000 + ")" * 3000 + "}",
            "npz",
        ),
        ("[" * 3000, "cannot be read"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (6, 5, 4, 3), }", "never loaded"),
        ("{'descr': '|u1\x1b[31m', 'fortran_order': False, 'shape': (6,), }", "cannot be read"),
        ("", "cannot be read"),
    ],
)
@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_headers_that_lie(tmp_path, header, words, way):
    content = npy(header, bytes(360 if "O'" in header else 90))
    refused(f"npz:{npz(tmp_path / 'x.npz', content, way)}", words)


def test_a_bomb_of_zeros_is_refused_and_may_be_stored(tmp_path, monkeypatch):
    from vitprobe.data import npz as module

    monkeypatch.setattr(module, "EXPANDED", 10_000)
    zeros = {"images": np.zeros((6, 50, 50), np.uint8), "labels": np.arange(6)}
    np.savez_compressed(tmp_path / "bomb.npz", **zeros)
    refused(f"npz:{tmp_path}/bomb.npz", "expands to 15,128 bytes, over 20 times .* numpy.savez")
    np.savez(tmp_path / "stored.npz", **zeros)
    assert len(load_data(f"npz:{tmp_path}/stored.npz")) == 6
    noise = np.random.default_rng(0).integers(0, 256, (6, 50, 50), dtype=np.uint8)
    np.savez_compressed(tmp_path / "noise.npz", **zeros | {"images": noise})
    assert len(load_data(f"npz:{tmp_path}/noise.npz")) == 6


def test_columns_first_and_other_orders_of_memory(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "c.npz", images=noise, labels=np.arange(6))
    np.savez(tmp_path / "f.npz", images=np.asfortranarray(noise), labels=np.arange(6))
    rows, columns = (load_data(f"npz:{tmp_path}/{name}.npz") for name in "cf")
    assert rows.mean == columns.mean and rows.notes == ()
    for a, b in zip(rows, columns, strict=True):
        assert np.array_equal(np.asarray(a[0]), np.asarray(b[0])) and a[1] == b[1]


@pytest.mark.parametrize("width", [1, 3])
def test_images_of_three_columns_say_how_they_were_read(tmp_path, width):
    images = np.zeros((6, 3, 9, width), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(6))
    (note,) = load_data(f"npz:{tmp_path}/x.npz").notes
    assert f"read as 6 images of 3 x 9 pixels with {width} channels" in note
    assert "x.transpose(0, 2, 3, 1)" in note
    with pytest.warns(VitprobeWarning, match="if the channels come first"):
        PairedLoader(images, [Transform()])


@pytest.mark.parametrize("kind", ["npz", "zip", "wds", "hfds"])
def test_pipes_and_devices_are_not_waited_for(tmp_path, kind):
    name = tmp_path / {"wds": "x.tar", "hfds": "x.parquet"}.get(kind, f"x.{kind}")
    os.mkfifo(name)
    refused(f"{kind}:{name}", "is a pipe|no shard")
    refused(f"{kind}:/dev/zero", "is a device|no shard")


# Shards


def shard(path, files, **options):
    with tarfile.open(path, "w", **options) as opened:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def test_shards_with_escapes_deep_json_and_large_labels(tmp_path):
    files = [("0.png", png()), ("0.json", b"[" * 100_000), (f"1{ESCAPE}.png", b"bad")]
    data = load_data(f"wds:{shard(tmp_path / 'x.tar', files)}")
    assert data.labels.tolist() == [-1, -1]
    with pytest.raises(CorruptImage, match=r"1\\x1b\]0;title"):
        data[1]
    twice = [(f"a{ESCAPE}.png", png())] * 2
    refused(f"wds:{shard(tmp_path / 'y.tar', twice)}", r"has a\\x1b\]0.* twice")
    for suffix, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        with tarfile.open(tmp_path / f"z{suffix}", mode) as opened:
            info = tarfile.TarInfo("0.cls")
            info.size = 1 << 25
            opened.addfile(info, io.BytesIO(bytes(1 << 25)))
            info = tarfile.TarInfo("0.png")
            info.size = len(png())
            opened.addfile(info, io.BytesIO(png()))
        with pytest.raises(InputError, match="0.cls has 33,554,432 bytes: more than a label"):
            list(load_data(f"wds:{tmp_path}/z{suffix}"))


def test_what_a_compressed_shard_expands_to_is_bounded(tmp_path):
    with gzip.open(tmp_path / "x.tar.gz", "wb", 1) as file:
        info = tarfile.TarInfo("0.png")
        info.size = 1 << 20
        file.write(info.tobuf())
        file.write(bytes(1 << 20) + bytes(1024))
    data = load_data(f"wds:{tmp_path}/x.tar.gz", max_pixels=1000)
    assert isinstance(data.decoding.max_pixels, int)
    with pytest.raises(CorruptImage, match="its content is none of"):
        list(data)
    with tarfile.open(tmp_path / "y.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("0.png")
        info.size = (1 << 20) + 1
        file.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(CorruptImage, match="1,048,577 bytes, more than the 1,048,576"):
        list(load_data(f"wds:{tmp_path}/y.tar.gz", max_pixels=1000))
    with tarfile.open(tmp_path / "z.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo("a" * (2 << 20) + ".png"))
    for name in ("z.tar.gz", "z.tar"):
        if name == "z.tar":
            (tmp_path / name).write_bytes(gzip.decompress((tmp_path / "z.tar.gz").read_bytes()))
        with pytest.raises(InputError, match="a member's name or attributes of 2,097,15"):
            list(load_data(f"wds:{tmp_path}/{name}"))
