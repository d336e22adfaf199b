"""The same images give the same numbers, however they are stored."""

import gzip
import io

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
    return ended, xr.load_dataset(f"{output}/cka-resnet20-resnet20.nc", engine="h5netcdf")


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
