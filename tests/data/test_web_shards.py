"""wds:PATTERN: shards by index on a disk, else as a stream."""

import bz2
import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image

from vitprobe.data import (
    CorruptImage,
    ImageData,
    ImageStream,
    PairedLoader,
    Transform,
    example_order,
    load_data,
)
from vitprobe.data.layout import EXTENSIONS
from vitprobe.data.shard_stream import ShardStream
from vitprobe.data.tar_index import IMAGE_FIELDS
from vitprobe.errors import InputError, VitprobeWarning


def png(number: int, side: int = 8) -> bytes:
    """A PNG whose pixels tell its number."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def write(path: Path, samples: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as shard:
        for number, sample in enumerate(samples):
            shard.write({"__key__": f"{number:04d}", **sample})
    return path


@pytest.fixture
def shards(tmp_path):
    """Three shards of eight: images 0..23 with class number % 5."""
    for s in range(3):
        samples = [{"png": png(8 * s + i), "cls": (8 * s + i) % 5} for i in range(8)]
        write(tmp_path / f"train-{s:06d}.tar", samples)
    return tmp_path


@pytest.mark.parametrize(
    "pattern", ["train-{000000..000002}.tar", "train-*.tar", "train-00000[01].tar::train-*2.tar"]
)
def test_shards_are_a_data_set_by_index(shards, monkeypatch, pattern):
    monkeypatch.chdir(shards)
    data = load_data(f"wds:{pattern}")
    assert isinstance(data, ImageData) and len(data) == 24
    assert data.labels.tolist() == [i % 5 for i in range(24)]
    assert data.class_names == list("01234") and data.mean == (0.485, 0.456, 0.406)
    for i in (0, 7, 8, 23):
        image, label = data[i]
        assert np.array_equal(np.asarray(image), pixels(png(i))) and label == i % 5
    assert data.paths[8] == "train-000001.tar/0000.png"


def test_home_is_expanded_and_globs_are_in_natural_order(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for number in (10, 2, 1):
        write(tmp_path / "s" / f"{number}.tar", [{"png": png(number)}])
    data = load_data("wds:~/s/*.tar")
    shown = [np.asarray(image) for image, _ in (data[i] for i in range(3))]
    assert all(np.array_equal(x, pixels(png(n))) for x, n in zip(shown, (1, 2, 10), strict=True))
    assert data.labels.tolist() == [-1] * 3 and data.num_classes == 0
    assert len(load_data(f"wds:file:{tmp_path}/s/10.tar")) == 1


def test_it_reads_what_webdataset_reads(tmp_path):
    """Long names, folders, fields in any order and case, members that are no samples."""
    with tarfile.open(tmp_path / "made.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in (
            ("./a/" + "long" * 60 + ".PNG", png(0)),
            ("./a/" + "long" * 60 + ".cls", b"3\n"),
            ("b/1.json", json.dumps({"label": 4, "more": [1]}).encode()),
            ("b/1.seg.png", png(1)),
            ("b/1.png", png(2)),
            ("b/1.jpg", png(3)),
            ("__meta__.json", b"{}"),
            ("b/2.json", b'{"label": "cat"}'),
            ("b/2.webp", png(4)),
            ("b/._3.jpg", b"a Mac's second file"),
            ("b/3.cls", b"not a number"),
            ("b/3.ppm", png(5)),
            ("b/4.txt", b"no image"),
            ("b/5.json", b"{broken"),
            ("b/5.bmp", png(6)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        folder = tarfile.TarInfo("c")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    data = load_data(f"wds:{tmp_path / 'made.tar'}")
    theirs = [
        sample[next(field for field in IMAGE_FIELDS if field in sample)]
        for sample in webdataset.WebDataset(str(tmp_path / "made.tar"), shardshuffle=False)
        if set(IMAGE_FIELDS) & set(sample)
    ]
    assert theirs == [png(0), png(3), png(4), png(5), png(6)], "jpg comes before png"
    for i, content in enumerate(theirs):
        assert np.array_equal(np.asarray(data[i][0]), pixels(content))
    assert data.labels.tolist() == [3, 4, -1, -1, -1] and data.num_classes == 5
    assert data.notes == (f"samples of {data.name} that have no image were left out: 3",)
    with pytest.warns(VitprobeWarning, match="that have no image"):
        assert PairedLoader(data, [Transform(8)]).notes == list(data.notes)


def test_the_endings_are_those_of_folders():
    assert {f".{field}" for field in IMAGE_FIELDS} == EXTENSIONS


@pytest.mark.parametrize("workers", [0, 2])
def test_order_seed_and_workers_are_those_of_any_data_set(shards, workers):
    name = f"wds:{shards}/train-*.tar"
    loader = PairedLoader(name, [Transform(8)], batch_size=6, examples=12, seed=4, workers=workers)
    order = example_order(24, seed=4, examples=12)
    batches = list(loader)
    assert torch.equal(torch.cat([batch.index for batch in batches]), order)
    want = Transform(8).filled(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    for batch in batches:
        for row, i in enumerate(batch.index.tolist()):
            assert torch.equal(batch.images[0][row], want(pixels(png(i))))
    assert (loader.order, loader.notes) == ("seeded", [])


def test_bad_images_are_named_and_can_be_skipped(tmp_path):
    samples = [{"png": png(i), "cls": 0} for i in range(8)]
    samples[3]["png"] = samples[3]["png"][:100]
    plain = write(tmp_path / "bad.tar", samples)
    packed = tmp_path / "bad.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        with pytest.raises(CorruptImage) as error:
            list(PairedLoader(f"wds:{path}", [Transform(8)], order="file"))
        assert error.value.path == f"{path}/0003.png" and "\n" not in str(error.value)
        loader = PairedLoader(
            f"wds:{path}", [Transform(8)], order="file", skip_bad_images=True, batch_size=4
        )
        assert [batch.index.tolist() for batch in loader] == [[0, 1, 2], [4, 5, 6, 7]]
        assert loader.skipped == [f"{path}/0003.png"]


def test_shards_that_cannot_be_read(shards, tmp_path):
    good = (shards / "train-000000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(good[: len(good) // 2 - 700])
    (tmp_path / "text.tar").write_text("no archive at all" * 100)
    (tmp_path / "empty.tar").touch()
    with tarfile.open(shards / "train-000000.tar") as archive:
        at = archive.getmember("0004.cls").offset  # where the fifth sample begins
    (tmp_path / "shorter.tar").write_bytes(good[:at])
    (tmp_path / "hole.tar").write_bytes(good[:at] + b"\1" * 512 + good[at + 512 :])
    write(tmp_path / "none.tar", [{"txt": "words", "cls": 1}])
    write(tmp_path / "class.tar", [{"png": png(0), "cls": 10**12}])
    (tmp_path / "twice.tar").write_bytes(good)
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("1.png"))
    for name, words in {
        "cut.tar": "cut.tar cannot be read: cut off, or not a tar file",
        "shorter.tar": "neither a file nor the archive's end",
        "text.tar": "not a tar file",
        "empty.tar": "empty file",
        "hole.tar": "neither a file nor the archive's end at byte",
        "none.tar": r"no images in wds:.*expected jpg, .*; the samples have cls, txt",
        "class.tar": "class indices from 0",
        "twice.tar": "has 1.png twice",
        "train-{000000..000005}.tar": r"no shard .*train-000003.tar \(and 2 more\)",
        "x-*.tar": r"no shard .*x-\*.tar",
        "": "of a folder give FOLDER/",
        "train-{0..1.tar": "braces do not pair",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            print(load_data(f"wds:{tmp_path}/{name}"))  # shown where it is not refused
        assert "\n" not in str(error.value), name


def test_what_cannot_be_indexed_is_a_stream(shards, monkeypatch):
    monkeypatch.setattr(ShardStream, "buffer", 6)
    packed = []
    for path, compress in zip(sorted(shards.glob("*.tar")), (gzip, bz2, gzip), strict=True):
        packed.append(path.with_suffix(".tar.packed"))
        packed[-1].write_bytes(compress.compress(path.read_bytes()))
    files = f"wds:{shards}/train-*.tar.packed"
    pipe = f"wds:pipe:cat {shards}/train-{{000000..000002}}.tar"
    for name in (files, pipe):
        data = load_data(name)
        assert isinstance(data, ImageStream) and not isinstance(data, ImageData)
        items = list(data)
        assert [label for _, label in items] == [i % 5 for i in range(24)]
        assert all(np.array_equal(np.asarray(x), pixels(png(i))) for i, (x, _) in enumerate(items))
    orders = []
    for seed, workers in ((3, 0), (3, 2), (4, 0)):
        with pytest.warns(VitprobeWarning, match="read as a stream"):
            loader = PairedLoader(
                files, [Transform(8)], batch_size=10, seed=seed, passes=2, workers=workers
            )
        text = f"{files} is read as a stream: order shuffled within a buffer of 6, seed {seed}"
        assert loader.notes == [text] and loader.order == "seeded, within a buffer of 6"
        batches = list(loader)
        assert [len(batch.index) for batch in batches] == [10, 10, 4] * 2
        assert loader.examples is None and loader.num_classes is None
        labels = torch.cat([batch.labels for batch in batches]).tolist()
        assert sorted(labels[:24]) == sorted(i % 5 for i in range(24))
        images = torch.cat([batch.images[0] for batch in batches])
        assert not torch.equal(images[:24], images[24:]), "a pass draws anew"
        assert len(images[:24].unique(dim=0)) == 24
        orders.append(images)
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])


def test_a_stream_in_file_order_and_its_first_examples(shards):
    pipe = f"wds:pipe:cat {shards}/train-{{000000..000002}}.tar"
    loader = PairedLoader(pipe, [Transform(8)], order="file", examples=10, batch_size=4)
    batches = list(loader)
    assert (loader.notes, loader.order, loader.examples) == ([], "file", 10)
    assert [len(batch.index) for batch in batches] == [4, 4, 2]
    by_index = PairedLoader(
        f"wds:{shards}/train-*.tar", [Transform(8)], order="file", examples=10, batch_size=4
    )
    for ours, theirs in zip(batches, by_index, strict=True):
        assert torch.equal(ours.images[0], theirs.images[0]), "normalised alike"
        assert torch.equal(ours.labels, theirs.labels)
    loader = PairedLoader(pipe, [Transform(8)], order="file", examples=30, batch_size=24)
    with pytest.warns(VitprobeWarning, match="asked for 30 examples, wds:pipe:cat .* has 24"):
        list(loader)


def test_standard_input_is_read_once(shards, monkeypatch):
    class Typed:
        buffer = io.BytesIO((shards / "train-000000.tar").read_bytes())

    with pytest.raises(InputError, match="wds:- can be read once only"):
        PairedLoader("wds:-", [Transform(8)], order="file", passes=2)
    monkeypatch.setattr("sys.stdin", Typed)
    loader = PairedLoader("wds:-", [Transform(8)], order="file")
    assert sum(len(batch.index) for batch in loader) == 8
    with pytest.raises(InputError, match="can be read once only, and was"):
        list(loader)


def test_streams_that_cannot_be_read(shards, tmp_path):
    packed = gzip.compress((shards / "train-000000.tar").read_bytes())
    (tmp_path / "cut.tar.gz").write_bytes(packed[:-9])
    (tmp_path / "z.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    none = write(tmp_path / "none.tar", [{"txt": "words"}])
    for name, words in {
        f"{tmp_path}/cut.tar.gz": "cut.tar.gz cannot be read: .*ended before the end",
        f"{tmp_path}/z.tar.zst": "z.tar.zst (is compressed with zstd|cannot be read)",
        "pipe:false": "shard pipe:false cannot be read",
        f"pipe:cat {none}; exit 3": "shard pipe:.*exit 3",
        f"pipe:cat {none}": "no images in wds:pipe:cat .*expected jpg",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            list(load_data(f"wds:{name}"))
        assert "\n" not in str(error.value), name


def test_without_the_library(shards, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(InputError, match=r'pip install "vitprobe\[wds\]"') as error:
        load_data(f"wds:{shards}/train-*.tar")
    assert "\n" not in str(error.value)


def test_a_stream_is_not_trained_on(shards):
    from vitprobe.training.parts import open_parts
    from vitprobe.training.resolve import resolve

    name = f"wds:pipe:cat {shards}/train-000000.tar"
    with pytest.raises(InputError, match="read as a stream, and training draws images by number"):
        open_parts(resolve("scratch", {"dataset": name}))
