"""The same images give the same numbers, however they are stored."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import webdataset
import xarray as xr
from PIL import Image

import vitprobe


@pytest.fixture
def stores(tmp_path):
    """24 images of two classes, in one order: a folder, shards, a saved data set."""
    import datasets

    folder, content = tmp_path / "set", []
    for i in range(24):
        noise = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).save(file, "PNG")
        content.append(file.getvalue())
        path = folder / "ab"[i // 12] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[-1])
    with webdataset.ShardWriter(str(tmp_path / "s-%02d.tar"), maxcount=10, verbose=0) as shards:
        for i, image in enumerate(content):
            shards.write({"__key__": f"{i:04d}", "png": image, "cls": i // 12})
    (tmp_path / "s-00.tar.gz").write_bytes(gzip.compress((tmp_path / "s-00.tar").read_bytes()))
    columns = {"image": [{"bytes": x, "path": None} for x in content]}
    columns["label"] = [i // 12 for i in range(24)]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    features = datasets.Features(features)
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "saved")
    return tmp_path


def run(vitprobe_command, output, dataset, *words):
    ended = vitprobe_command(
        *("cka", "--models", "resnet20", "--dataset", dataset, "--layers", "blocks"),
        *("--batch-size", 8, "--device", "cpu", "--output", output, *words),
    )
    assert ended.code == 0, ended.err
    (path,) = Path(output).glob("*.nc")
    return ended, xr.load_dataset(path, engine="h5netcdf")


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_cka_does_not_depend_on_the_storage(vitprobe_command, stores):
    source = f"wds:{stores}/s-{{00..02}}.tar"
    ended, shards = run(vitprobe_command, "shards", source)
    assert shards["cka"].size >= 100 and np.isfinite(shards["cka"]).all()
    assert (shards.attrs["dataset"], shards.attrs["order"]) == (source, "seeded")
    assert "read as a stream" not in ended.err
    _, folder = run(vitprobe_command, "folder", f"imagefolder:{stores}/set")
    arguments = {"layers": "blocks", "batch_size": 8, "device": "cpu"}
    saved = vitprobe.cka("resnet20", data=f"hfds:{stores}/saved", **arguments)
    for result in (folder, saved):
        for variable in ("cka", "cka_se", "hsic"):
            assert np.array_equal(result[variable], shards[variable], equal_nan=True), variable


def test_a_stream_says_so(vitprobe_command, stores):
    source = f"wds:{stores}/s-00.tar.gz"
    ended, result = run(vitprobe_command, "out", source, "--examples", 8)
    text = f"{source} is read as a stream: order shuffled within a buffer of 1,000, seed 0"
    assert f"note: {text}" in ended.err.splitlines() and text in result.attrs["notes"]
    assert result.attrs["order"] == "seeded, within a buffer of 1000"
    assert result.attrs["examples"] == 8


def test_wrong_sources_are_one_line(vitprobe_command, stores):
    for dataset, words in (
        (f"wds:{stores}/x-*.tar", "no shard"),
        (f"{stores}/s-00.tar", "write wds:"),
        (str(stores), "/*.tar"),
        (f"{stores}/saved", "write hfds:"),
        ("wds:", "wds:PATTERN"),
        (f"hfds:{stores}/saved:pixels", "no column 'pixels'"),
    ):
        ended = vitprobe_command("cka", "--models", "resnet20", "--dataset", dataset)
        assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1


def test_maps_needs_images_by_number(vitprobe_command, stores):
    source = f"wds:{stores}/s-00.tar.gz"
    ended = vitprobe_command("maps", "--model", "vit", "--dataset", source, "--index", 0)
    assert ended.code == 2 and "cannot be read by index" in ended.err


@pytest.fixture
def photographs(tmp_path):
    """16 oblong images that lie on their side by EXIF, of one class whose name sets colours."""
    folder, exif = tmp_path / "photos" / "a\x1b[31m\n", Image.Exif()
    exif[0x0112] = 6
    folder.mkdir(parents=True)
    for i in range(16):
        noise = np.random.default_rng(i).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}\x1b[31m.png", exif=exif)
    return folder.parent


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
@pytest.mark.parametrize(
    "words",
    [
        ("cka", "--models", "resnet20", "--layers", "blocks"),
        ("attention", "--models", "vit"),
        ("head-subsets", "--models", "vit,resnet20", "--sizes", "1"),
        ("maps", "--model", "vit", "--index", 0),
    ],
    ids=lambda words: words[0],
)
def test_orientation_and_size_are_options_of_every_command(vitprobe_command, photographs, words):
    words = (*words, "--dataset", f"imagefolder:{photographs}", "--image-size", 32)
    values = {}
    for folder, option in (("upright", ()), ("stored", ("--ignore-orientation",))):
        ended = vitprobe_command(*words, *option, "--output", folder)
        assert ended.code == 0 and "\x1b[31m" not in ended.out + ended.err, ended.err
        (file,) = (photographs.parent / folder).glob("*.nc")
        result = xr.load_dataset(file, engine="h5netcdf")
        values[folder] = result[{"maps": "attention", "attention": "distance"}.get(words[0], "cka")]
        held = [str(value) for name in result.coords for value in result[name].values.ravel()]
        assert not any("\x1b" in text or "\n" in text for text in held)
    assert not np.array_equal(values["upright"], values["stored"])
    ended = vitprobe_command(*words, "--max-pixels", 1199)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1
    assert "40 x 30 pixels are more than the 1,199" in ended.err and "\x1b" not in ended.err


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_skipped_images_are_named_on_one_line(vitprobe_command, photographs):
    (photographs / "a\x1b[31m\n" / "bad\x1b]0;title\x07\n.png").write_bytes(b"no image")
    words = ("cka", "--models", "resnet20", "--layers", "output", "--dataset")
    ended = vitprobe_command(*words, f"imagefolder:{photographs}", "--skip-bad-images")
    assert ended.code == 0
    (line,) = (line for line in ended.err.splitlines() if "skipped" in line)
    assert line.isprintable() and r"bad\x1b]0;title\x07\n.png" in line
