"""The torchvision sets: read in its layout, downloaded whole or not at all, honest when offline.

Nothing here touches the network: files in the original formats are made from real images.
"""

import gzip
import hashlib
import pickle
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets as tv
from scipy.io import savemat

from vitprobe.data import load_data
from vitprobe.data.downloads import SETS, default_data_dir
from vitprobe.data.images import channel_statistics
from vitprobe.errors import InputError


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture(scope="module")
def mnist(real_data):
    with np.load(real_data / "mnist-test3000.npz") as file:
        return file["images"][:50, ..., 0], file["labels"][:50]


@pytest.fixture(scope="module")
def cifar(real_data):
    with np.load(real_data / "cifar10-test1000.npz") as file:
        return file["images"][:40], file["labels"][:40]


def write_idx(folder, images, labels):
    """The four files of MNIST's own format, train and test alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())


@pytest.mark.parametrize(
    ("name", "class_name"), [("mnist", "MNIST"), ("fashionmnist", "FashionMNIST")]
)
def test_idx_files_already_there(offline, tmp_path, mnist, name, class_name):
    write_idx(tmp_path / class_name / "raw", *mnist)
    data = load_data(name, data_dir=tmp_path)
    assert (len(data), data.num_classes, data.image_size) == (50, 10, 28)
    assert data.labels.tolist() == mnist[1].tolist()
    pixels = np.asarray(data[7][0])
    assert pixels.shape == (28, 28, 3)
    assert all(np.array_equal(pixels[..., c], mnist[0][7]) for c in range(3))


def test_cifar_files_already_there(offline, tmp_path, cifar, monkeypatch):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows = cifar[0].transpose(0, 3, 1, 2).reshape(40, -1)
    names = list("abcdefghij")
    for file, content in {
        "test_batch": {"data": rows, "labels": cifar[1].tolist()},
        "batches.meta": {"label_names": names},
    }.items():
        (folder / file).write_bytes(pickle.dumps(content))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    data = load_data("cifar10", data_dir=tmp_path)
    assert (data.class_names, data.image_size) == (names, 32)
    assert np.array_equal(np.asarray(data[3][0]), cifar[0][3])
    assert [data[i][1] for i in range(40)] == cifar[1].tolist()


def test_svhn_files_already_there(offline, tmp_path, cifar, monkeypatch):
    """SVHN stores (H, W, C, N), and the class of the digit 0 as 10."""
    labels = np.where(cifar[1] == 0, 10, cifar[1])[:, None]
    savemat(tmp_path / "test_32x32.mat", {"X": cifar[0].transpose(1, 2, 3, 0), "y": labels})
    digest = hashlib.md5((tmp_path / "test_32x32.mat").read_bytes()).hexdigest()
    entry = ["", "test_32x32.mat", digest]
    monkeypatch.setitem(tv.SVHN.split_list, "test", entry)
    data = load_data("svhn", data_dir=tmp_path)
    assert np.array_equal(np.asarray(data[5][0]), cifar[0][5])
    assert data.labels.tolist() == cifar[1].tolist() and data.num_classes == 10


@pytest.mark.parametrize("name", list(SETS))
def test_offline_is_one_line(offline, tmp_path, name):
    with pytest.raises(InputError) as error:
        load_data(name, data_dir=tmp_path)
    message = str(error.value)
    assert "\n" not in message and name in message
    assert "dataset='digits' needs none" in message
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_broken_download_leaves_nothing(tmp_path, mnist, monkeypatch):
    """A connection lost after two of four files; the next run with a network starts clean."""

    def lost(self):
        write_idx(tmp_path / "source", *mnist)
        raw = self.raw_folder
        for file in sorted((tmp_path / "source").iterdir())[:2]:
            (target := type(tmp_path)(raw)).mkdir(parents=True, exist_ok=True)
            (target / file.name).write_bytes(file.read_bytes()[:100])
        raise URLError("connection reset")

    folder = tmp_path / "data"
    monkeypatch.setattr(tv.MNIST, "download", lost)
    with pytest.raises(InputError, match="connection reset"):
        load_data("mnist", data_dir=folder)
    assert list(folder.iterdir()) == []

    monkeypatch.setattr(
        tv.MNIST, "download", lambda self: write_idx(type(folder)(self.raw_folder), *mnist)
    )
    assert len(load_data("mnist", data_dir=folder)) == 50
    assert [entry.name for entry in folder.iterdir()] == ["MNIST"], "no staging folder remains"


def test_damaged_files_are_named(offline, tmp_path, mnist):
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw, *mnist)
    (raw / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(b"not this"))
    with pytest.raises(InputError, match="delete them") as error:
        load_data("mnist", data_dir=tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_folder_that_cannot_be_made(offline, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another data_dir"):
        load_data("cifar10", data_dir=tmp_path / "file")


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VITPROBE_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
    monkeypatch.delenv("VITPROBE_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / ".cache" / "vitprobe"


def test_known_constants_fit_real_images(real_data):
    """4,000 of the 50,000 CIFAR-10 training images, 3,000 MNIST test images."""
    for name, file, tolerance in (
        ("cifar10", "cifar10-train4000.npz", 0.005),
        ("mnist", "mnist-test3000.npz", 0.015),
    ):
        with np.load(real_data / file) as arrays:
            measured = channel_statistics(arrays["images"])
        np.testing.assert_allclose(SETS[name][1], measured, atol=tolerance)
