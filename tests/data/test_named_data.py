"""load_data: digits, npz and folders."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vitprobe.data import CorruptImage, load_data
from vitprobe.data.images import channel_statistics
from vitprobe.errors import InputError


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    train, test = load_data("digits", split="train"), load_data("digits")
    assert (len(train), len(test)) == (1437, 360)
    assert (train.image_size, train.num_classes) == (32, 10)
    assert train.class_names == list("0123456789")
    # stratified: every class has its share of the test part, within one image
    everything = np.bincount(np.concatenate([train.labels, test.labels]))
    assert np.array_equal(everything, np.bincount(load_digits().target))
    assert np.abs(np.bincount(test.labels) - everything * 360 / 1797).max() < 1

    # each shown image is an original, enlarged and rounded three times; together they are all
    originals = torch.from_numpy(load_digits().images / 16 * 255)[:, None]
    large = F.interpolate(originals, size=(32, 32), mode="bilinear").flatten(1)
    shown = torch.from_numpy(np.concatenate([train.images, test.images])).double().flatten(1)
    nearest = torch.cdist(shown, large).argmin(1)
    assert len(nearest.unique()) == 1797
    assert (shown - large[nearest]).abs().max() <= 1.5
    labels = np.concatenate([train.labels, test.labels])
    assert np.array_equal(load_digits().target[nearest], labels)


def test_digits_constants_are_the_train_images():
    train = load_data("digits", split="train")
    mean, std = channel_statistics(train.images)
    np.testing.assert_allclose(train.mean, mean, atol=5e-5)
    np.testing.assert_allclose(train.std, std, atol=5e-5)
    image, label = train[3]
    assert (image.mode, image.size) == ("RGB", (32, 32))
    assert isinstance(label, int) and label == train.labels[3]


def test_npz_of_real_images(real_data):
    data = load_data(f"npz:{real_data / 'cifar10-test1000.npz'}")
    with np.load(real_data / "cifar10-test1000.npz") as file:
        images, labels = file["images"], file["labels"]
    assert len(data) == 1000 and data.num_classes == 10 and data.image_size == 32
    assert np.array_equal(np.asarray(data[123][0]), images[123])
    assert [data[i][1] for i in range(20)] == labels[:20].tolist()
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(data.std, (images / 255).std((0, 1, 2)), rtol=1e-12)


def test_npz_of_real_grey_images(real_data):
    data = load_data(f"npz:{real_data / 'mnist-test3000.npz'}", split="train")
    image = np.asarray(data[0][0])
    assert image.shape == (28, 28, 3) and (image == image[..., :1]).all()
    assert len(set(data.mean)) == 1 and abs(data.mean[0] - 0.1307) < 0.01


def test_constant_images_have_a_usable_std(tmp_path):
    np.savez(tmp_path / "flat.npz", images=np.full((5, 4, 6), 51, np.uint8), labels=np.arange(5))
    data = load_data(f"npz:{tmp_path / 'flat.npz'}")
    assert data.mean == pytest.approx((0.2,) * 3) and data.std == (1.0,) * 3
    assert data.image_size is None, "4 x 6 is not a square"


GOOD = {"images": np.zeros((6, 4, 4, 3), np.uint8), "labels": np.arange(6)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": None}, "no images; its keys are: labels"),
        ({"images": None, "labels": None, "x": np.arange(3)}, "no images and no labels"),
        ({"images": GOOD["images"].astype(np.float32)}, "uint8.*got float32"),
        ({"images": np.zeros((6, 3, 4, 4), np.uint8)}, r"\(N, H, W, 3\), got \(6, 3, 4, 4\)"),
        ({"images": np.zeros((0, 4, 4), np.uint8), "labels": np.arange(0)}, "empty"),
        ({"labels": np.arange(5)}, "6 images but 5 labels"),
        ({"labels": np.arange(6) / 2}, "integers.*float64"),
        ({"labels": np.eye(6, dtype=int)}, r"\(6, 6\)"),
        ({"labels": np.arange(6) - 1}, "found -1 to 4"),
        ({"labels": np.arange(6) + 10**9}, "class indices from 0"),
        ({"labels": np.array(list("abcdef"), object)}, "never loaded"),
    ],
)
def test_npz_with_wrong_content(tmp_path, change, words):
    arrays = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(InputError, match=words) as error:
        load_data(f"npz:{tmp_path / 'wrong.npz'}")
    assert "\n" not in str(error.value) and "wrong.npz" in str(error.value)


def test_npz_never_unpickles(tmp_path):
    """An archive whose array would run code when unpickled leaves no trace."""
    trace = tmp_path / "trace"

    class Trap:
        def __reduce__(self):
            return (trace.touch, ())

    images = np.empty(4, object)
    images[:] = [Trap() for _ in range(4)]
    np.savez(tmp_path / "trap.npz", images=images, labels=np.arange(4))
    with pytest.raises(InputError, match="never loaded"):
        load_data(f"npz:{tmp_path / 'trap.npz'}")
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="never loaded"):
        load_data(f"npz:{tmp_path / 'bare.npz'}")
    assert not trace.exists()


def test_npz_that_is_no_npz(tmp_path, truncate):
    np.savez_compressed(tmp_path / "cut.npz", images=GOOD["images"], labels=GOOD["labels"])
    truncate(tmp_path / "cut.npz")
    np.save(tmp_path / "one.npy", GOOD["images"])
    (tmp_path / "text.npz").write_text("images, labels")
    (tmp_path / "empty.npz").touch()
    damaged = tmp_path / "damaged.npz"
    np.savez(damaged, images=np.random.default_rng(0).bytes(900), labels=GOOD["labels"])
    content = bytearray(damaged.read_bytes())
    content[300] ^= 255  # one byte of the pixels: the archive's checksum tells
    damaged.write_bytes(content)
    for name in ("cut.npz", "one.npy", "text.npz", "empty.npz", "damaged.npz", "none.npz"):
        with pytest.raises(InputError, match=name) as error:
            load_data(f"npz:{tmp_path / name}")
        assert "\n" not in str(error.value)


def test_folder_of_real_images(real_data, tmp_path):
    """JPEGs of CIFAR-10: classes by name, images in natural order, decoded as Pillow does."""
    with zipfile.ZipFile(real_data / "cifar10-jpeg.zip") as archive:
        wanted = [
            name
            for name in archive.namelist()
            if name.endswith(("/0001.jpg", "/0002.jpg")) and "test/" in name
        ]
        archive.extractall(tmp_path, wanted)
    root = next(path for path in tmp_path.rglob("test")).parent
    data = load_data(f"imagefolder:{root}")
    assert data.class_names == [
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ]  # fmt: skip
    assert data.labels.tolist() == [i // 2 for i in range(20)]
    with Image.open(root / "test" / "cat" / "0002.jpg") as image:
        assert np.array_equal(np.asarray(data[7][0]), np.asarray(image))
    assert data.image_size is None and data.mean == (0.485, 0.456, 0.406)


def test_flat_folder_is_the_whole_set(write_images):
    root = write_images({"b/10.png": 8, "b/2.png": 8, "a/x/1.jpg": 9, "c/1.PNG": 4, ".h/1.png": 4})
    (root / "b" / "notes.txt").write_text("no image")
    for split in ("train", "test", "val"):
        data = load_data(f"imagefolder:{root}", split=split)
        assert [path.removeprefix(str(root)) for path in data.paths] == [
            "/a/x/1.jpg", "/b/2.png", "/b/10.png", "/c/1.PNG",
        ]  # fmt: skip
        assert data.class_names == ["a", "b", "c"]
        assert data.labels.tolist() == [0, 1, 1, 2]


def test_folder_splits(write_images):
    files = {"train/a/1.png": 4, "train/b/1.png": 4, "train/c/1.png": 4, "validation/c/1.png": 4}
    root = write_images(files)
    val = load_data(f"imagefolder:{root}", split="val")
    assert len(load_data(f"imagefolder:{root}", split="train")) == 3
    assert (val.labels.tolist(), val.num_classes) == ([2], 3), "as numbered by all splits"
    assert load_data(f"imagefolder:{root}", split="test").paths == val.paths
    with pytest.raises(InputError, match="its splits are: train, val, test"):
        load_data(f"imagefolder:{root}", split="dev")
    only_val = write_images({"val/a/1.png": 4}, root.parent / "other")
    with pytest.raises(InputError, match="has no train folder; it has: val"):
        load_data(f"imagefolder:{only_val}", split="train")


def test_images_without_classes(write_images, tmp_path):
    root = write_images({"9.png": 4, "10.png": 4})
    data = load_data(f"imagefolder:{root}")
    assert (data.labels.tolist(), data.num_classes) == ([-1, -1], 0)
    assert data.paths[0].endswith("9.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in"):
        load_data(f"imagefolder:{tmp_path / 'empty'}")
    with pytest.raises(InputError, match="not a folder"):
        load_data(f"imagefolder:{tmp_path / 'absent'}")


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_bad_images_are_named(write_images, truncate, kind):
    root = write_images({f"a/1.{kind}": 64, f"a/2.{kind}": 64, f"a/3.{kind}": 64})
    truncate(root / "a" / f"2.{kind}")
    (root / "a" / f"3.{kind}").write_bytes(b"no image at all")
    data = load_data(f"imagefolder:{root}")
    assert data.labels.tolist() == [0, 0, 0], "labels need no decoding"
    assert data[0][0].size == (64, 64)
    for bad in (1, 2):
        with pytest.raises(CorruptImage) as error:
            data[bad]
        message = str(error.value)
        assert data.paths[bad] in message and "skip_bad_images=True" in message
        assert "\n" not in message and error.value.path == data.paths[bad]
        copy = pickle.loads(pickle.dumps(error.value))
        assert (type(copy), str(copy), copy.path) == (CorruptImage, message, data.paths[bad])


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("cifar-10", "test", "did you mean 'cifar10'"),
        ("zzz", "test", "use one of digits, cifar10"),
        ("some/set.npz", "test", "write npz:some/set.npz"),
        (".", "test", "write imagefolder:."),
        ("npz:", "test", "npz:PATH"),
        ("digits", "val", "no split 'val'; its splits are: train, test"),
    ],
)
def test_unknown_names_and_splits(name, split, words):
    with pytest.raises(InputError, match=words):
        load_data(name, split=split)
