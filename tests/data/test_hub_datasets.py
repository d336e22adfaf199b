"""hfds:NAME_OR_FOLDER: what Hugging Face's `datasets` keeps; nothing here touches the network."""

import io
import pickle
import sys

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from vitprobe.data import CorruptImage, PairedLoader, Transform, load_data
from vitprobe.errors import InputError

IMAGES = [
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 9, 3), dtype=np.uint8))
    for i in range(6)
]
LABELS = [0, 1, 2, 0, 1, None]


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No network, a cache that ends with the test, no bars."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


@pytest.fixture
def table():
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "img": datasets.Image(),
            "mask": datasets.Image(),
            "coarse_label": datasets.ClassLabel(names=["x", "y"]),
            "fine_label": datasets.ClassLabel(names=["a", "b", "c"]),
        }
    )
    columns = {
        "id": list("abcdef"),
        "img": IMAGES,
        "mask": IMAGES[::-1],
        "coarse_label": [0, 1] * 3,
        "fine_label": LABELS,
    }
    return datasets.Dataset.from_dict(columns, features=features)


def same(data, numbers) -> bool:
    """Whether the data's images are IMAGES[numbers], in RGB."""
    shown = [data[i][0] for i in range(len(data))]
    return len(shown) == len(numbers) and all(
        image.mode == "RGB" and np.array_equal(np.asarray(image), np.asarray(IMAGES[n]))
        for image, n in zip(shown, numbers, strict=True)
    )


def encoded(image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def parquet(path, columns, features=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)


def test_a_saved_data_set_is_the_whole_set(table, tmp_path):
    table.with_format("torch").save_to_disk("saved")
    for split in ("train", "test"):
        data = load_data("hfds:saved", split=split)
        assert same(data, range(6)) and data.paths[2] == "hfds:saved row 2"
        assert data.labels.tolist() == [0, 1, 2, 0, 1, -1]
        assert data.class_names == ["a", "b", "c"], "fine_label is asked for before others"
        assert (data.image_size, data.mean) == (None, (0.485, 0.456, 0.406))
    assert same(load_data(f"hfds:{tmp_path}/saved:mask"), range(5, -1, -1))


def test_rows_that_were_chosen_keep_their_labels(table):
    table.select([4, 2, 1]).save_to_disk("some")
    data = load_data("hfds:some")
    assert same(data, [4, 2, 1]) and data.labels.tolist() == [1, 2, 1]


def test_saved_splits(table):
    parts = {"train": table, "validation": table.select([3, 1])}
    datasets.DatasetDict(parts).save_to_disk("dict")
    for split, numbers in (("train", range(6)), ("val", [3, 1]), ("test", [3, 1])):
        assert same(load_data("hfds:dict", split=split), numbers)
    assert load_data("hfds:dict").paths[1] == "hfds:dict validation row 1"
    datasets.DatasetDict({"validation": table}).save_to_disk("dict2")
    with pytest.raises(InputError, match="has no train split; it has: validation"):
        load_data("hfds:dict2", split="train")


def test_a_folder_of_parquet_files(table):
    for split, rows in (("train", range(6)), ("test", [2, 1])):
        table.select(rows).to_parquet(f"set/data/{split}-00000-of-00001.parquet")
    data = load_data("hfds:set")
    assert same(data, [2, 1]) and data.class_names == ["a", "b", "c"]
    assert same(load_data("hfds:set", split="train"), range(6))
    assert same(load_data("hfds:set/data/test-00000-of-00001.parquet", split="train"), [2, 1])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("image", [encoded(image) for image in IMAGES]),
        ("image", [{"bytes": encoded(image), "path": None} for image in IMAGES]),
        ("pixels", [np.asarray(image).tolist() for image in IMAGES]),
    ],
    ids=["bytes", "bytes and path", "levels"],
)
def test_parquet_files_without_the_librarys_types(tmp_path, column, values):
    parquet(tmp_path / "plain" / "0.parquet", {"id": [7] * 6, column: values, "labels": [3, 1] * 3})
    data = load_data("hfds:plain", split="val")
    assert same(data, range(6)), "no file says train: the whole set"
    assert data.labels.tolist() == [3, 1] * 3 and data.class_names == list("0123")


def test_a_column_of_paths(tmp_path):
    for i, image in enumerate(IMAGES):
        image.save(tmp_path / f"{i}.png")
    columns = {"file": [f"{tmp_path}/{i}.png" for i in range(6)], "label": [0.5] * 6}
    parquet(tmp_path / "paths" / "0.parquet", columns)
    data = load_data("hfds:paths:file")
    assert same(data, range(6)) and data.labels.tolist() == [-1] * 6 and data.num_classes == 0


def test_folders_of_images_are_as_imagefolder_has_them(tmp_path):
    for split, name in (("train", "b"), ("train", "a"), ("test", "b")):
        (tmp_path / "set" / split / name).mkdir(parents=True)
        for i in range(3):
            IMAGES[i].save(tmp_path / "set" / split / name / f"{i}.png")
    for where, split in (("set", "train"), ("set/train", "test")):
        data = load_data(f"hfds:{where}", split=split)
        ours = load_data(f"imagefolder:{where}", split=split)
        assert data.class_names == ours.class_names and same(data, [0, 1, 2] * 2)
        assert data.labels.tolist() == ours.labels.tolist()


def test_grey_and_turned_images_are_read_as_from_a_folder(tmp_path):
    """Turned by its EXIF, or left as it is stored: one rule for all kinds of data."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, grey = io.BytesIO(), io.BytesIO()
    IMAGES[0].save(turned, "PNG", exif=exif)
    Image.new("L", (4, 4), 9).save(grey, "PNG")
    features = datasets.Features({"image": datasets.Image()})
    columns = {"image": [{"bytes": f.getvalue(), "path": None} for f in (turned, grey)]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk("saved")
    data = load_data("hfds:saved")
    upright = IMAGES[0].transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(data[0][0]), np.asarray(upright))
    stored = load_data("hfds:saved", ignore_orientation=True)[0][0]
    assert np.array_equal(np.asarray(stored), np.asarray(IMAGES[0]))
    assert data[1][0].getpixel((0, 0)) == (9, 9, 9)


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_bad_images(workers):
    content = [encoded(image) for image in IMAGES * 2]
    content[3] = content[3][:60]
    features = datasets.Features({"image": datasets.Image()})
    columns = {"image": [{"bytes": x, "path": "x.png"} for x in content]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk("saved")
    with pytest.raises(CorruptImage, match="hfds:saved row 3") as error:
        list(PairedLoader("hfds:saved", [Transform(8)], workers=workers))
    assert "\n" not in str(error.value)
    arguments = {"batch_size": 6, "workers": workers, "skip_bad_images": True}
    loader = PairedLoader("hfds:saved", [Transform(None)], **arguments)
    index, images = zip(*((batch.index, batch.images[0]) for batch in loader), strict=True)
    assert sorted(torch.cat(index).tolist()) == [i for i in range(12) if i != 3]
    want = Transform(None).filled(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    for i, x in zip(torch.cat(index).tolist(), torch.cat(images), strict=True):
        assert torch.equal(x, want(IMAGES[i % 6]))
    assert loader.skipped == ["hfds:saved row 3"]
    copy = pickle.loads(pickle.dumps(load_data("hfds:saved")))
    assert np.array_equal(np.asarray(copy[1][0]), np.asarray(IMAGES[1]))


def test_the_librarys_own_data_sets_in_python(table):
    (batch,) = PairedLoader(table.select(range(5)), [Transform(8)], order="file")
    want = torch.stack([Transform(8)(image) for image in IMAGES[:5]])
    assert torch.equal(batch.images[0], want) and batch.labels.tolist() == LABELS[:5]
    with pytest.raises(InputError, match=r"DatasetDict holds several data sets: give one \(a, b\)"):
        PairedLoader(datasets.DatasetDict({"a": table, "b": table}), [Transform(8)])


def test_images_that_are_none(tmp_path):
    parquet(tmp_path / "none" / "0.parquet", {"image": [None, encoded(IMAGES[0])], "n": [1, 2]})
    parquet(tmp_path / "float" / "0.parquet", {"image": [[[0.5, 1.0]], [[0.1, 0.2]]]})
    for name, words in (("none", "no image, but NoneType"), ("float", "float64")):
        with pytest.raises(CorruptImage, match=words):
            load_data(f"hfds:{name}")[0]


def test_what_cannot_be_read(table, tmp_path):
    table.save_to_disk("saved")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no data")
    table.remove_columns(["img", "mask"]).save_to_disk("words")
    table.save_to_disk("broken")
    arrow = next((tmp_path / "broken").glob("*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:-2000])
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    large = {"image": IMAGES[:1], "label": [10**9]}
    datasets.Dataset.from_dict(large, features=features).save_to_disk("large")
    for name, words in {
        "saved:nope": "no column 'nope'; there are: id, img",
        "saved:": "lacks its column",
        "words": "no column of images among id, coarse_label, fine_label: name one",
        "empty": "empty cannot be read .*data files",
        "notes.txt": "is a file: give a folder, or a .parquet file",
        "broken": "broken cannot be read",
        "large": "class indices from 0, found 1000000000",
        "/no/such/folder": "no such file or folder",
        "./saved2": "hfds:./saved2",
        "some-name": "hfds:some-name cannot be read .*Hub",
        "owner/name:img": "hfds:owner/name:img cannot be read .*Hub",
    }.items():
        with pytest.raises(InputError, match=words) as error:
            load_data(f"hfds:{name}")
        assert "\n" not in str(error.value), name


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r'pip install "vitprobe\[hfds\]"') as error:
        load_data("hfds:cifar10")
    assert "\n" not in str(error.value)


def test_the_library_decodes_nothing(monkeypatch):
    """Its own decoding knows PostScript, which starts a program; of a list of images as well."""
    content = io.BytesIO()
    IMAGES[0].save(content, "EPS")
    image = {"bytes": content.getvalue(), "path": "x.png"}
    monkeypatch.setattr("subprocess.Popen", None)  # a TypeError, if it is called
    for kind, value in ((datasets.Image(), image), (datasets.List(datasets.Image()), [image])):
        features = datasets.Features({"image": kind})
        datasets.Dataset.from_dict({"image": [value] * 4}, features=features).save_to_disk("eps")
        with pytest.raises(CorruptImage, match="none of JPEG|an image array must be"):
            load_data("hfds:eps")[0]


def test_arrays_are_read_as_they_are_stored():
    levels = np.stack([np.asarray(image) for image in IMAGES])
    features = datasets.Features({"image": datasets.Array3D((8, 9, 3), "uint8")})
    table = datasets.Dataset.from_dict({"image": list(levels)}, features=features)
    table.save_to_disk("arrays")
    assert same(load_data("hfds:arrays"), range(6))


def test_columns_and_classes_with_escapes_are_shown_escaped(table):
    names = datasets.ClassLabel(names=["a\x1b[31m", "b\n", "c"])
    table.cast_column("fine_label", names).save_to_disk("saved")
    assert load_data("hfds:saved").class_names == [r"a\x1b[31m", r"b\n", "c"]
    table.rename_columns({"img": "p\x1b[1m", "mask": "q"}).select_columns("q").save_to_disk("q")
    datasets.Dataset.from_dict({"x\x1b[31m": [1] * 4}).save_to_disk("none")
    for name, words in (("hfds:none", r"among x\\x1b\[31m: name"), ("hfds:q:z\x1b", r"z\\x1b")):
        with pytest.raises(InputError, match=words) as error:
            load_data(name)
        assert str(error.value).isprintable()
