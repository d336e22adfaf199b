"""zip:PATH: what a folder gives, out of an archive."""

import multiprocessing
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from torch.utils.data import DataLoader

from vitprobe.data import CorruptImage, load_data
from vitprobe.errors import InputError

FILES = {
    "train/cat/10.png": 8, "train/cat/2.png": 8, "train/ant/x/1.jpg": 9, "train/.h/1.png": 4,
    "train/cat/.hidden.png": 4, "val/bee/1.png": 4, "val/cat/1.png": 5,
}  # fmt: skip


@pytest.fixture
def pack(tmp_path):
    """pack(folder) -> a zip file of it, names from the folder down, `top` before them."""

    def write(root, name="images.zip", top="", **options):
        with zipfile.ZipFile(tmp_path / name, "w", **options) as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, top + file.relative_to(root).as_posix())
        return tmp_path / name

    return write


def pixels(data):
    return [np.asarray(data[i][0]) for i in range(len(data))]


@pytest.mark.parametrize("top", ["", "set/"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("files", [FILES, {"b/10.png": 8, "b/2.png": 8, "a/x/1.png": 9}])
def test_it_is_the_folder(write_images, pack, top, split, files):
    root = write_images(files)
    (root / "notes.txt").write_text("no image")
    folder = load_data(f"imagefolder:{root}", split=split)
    archive = pack(root, top=top, compression=zipfile.ZIP_DEFLATED)
    data = load_data(f"zip:{archive}", split=split)
    assert data.class_names == folder.class_names
    assert data.labels.tolist() == folder.labels.tolist()
    members = [path.removeprefix(f"{archive}/{top}") for path in data.paths]
    assert members == [path.removeprefix(f"{root}/") for path in folder.paths]
    for ours, theirs in zip(pixels(data), pixels(folder), strict=True):
        assert np.array_equal(ours, theirs)
    assert data.image_size is None and data.mean == (0.485, 0.456, 0.406)


def test_images_without_classes(write_images, pack):
    data = load_data(f"zip:{pack(write_images({'9.png': 4, '10.png': 4}))}")
    assert (data.labels.tolist(), data.num_classes) == ([-1, -1], 0)
    assert data.paths[0].endswith("images.zip/9.png")


def test_one_folder_of_images_is_one_class(write_images, pack):
    archive = pack(write_images({"cat/1.png": 4, "__MACOSX/cat/1.png": 4}))
    data = load_data(f"zip:{archive}")
    assert (data.class_names, len(data)) == (["cat"], 1), "a Mac's second files are passed over"


def test_real_archive(real_data):
    train, test = (
        load_data(f"zip:{real_data / 'cifar10-jpeg.zip'}", split=s) for s in ("train", "test")
    )
    assert (len(train), len(test), train.num_classes) == (50_000, 10_000, 10)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    image, label = test[1001]
    assert (image.size, label, train.class_names[1]) == ((32, 32), 1, "automobile")


def test_threads_workers_and_forks_read_the_same(write_images, pack):
    files = {f"{c}/{i}.png": 20 for c in "ab" for i in range(30)}
    data = load_data(f"zip:{pack(write_images(files))}")
    expected = pixels(data)  # the file is open from here on
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: np.asarray(data[i][0]), list(range(60)) * 4))
    assert all(np.array_equal(a, expected[i % 60]) for i, a in enumerate(read))
    for ours in (data, pickle.loads(pickle.dumps(data))):  # a spawned worker gets the second
        loader = DataLoader(
            ours,
            batch_size=1,
            num_workers=2,
            collate_fn=first_pixels,
            multiprocessing_context=multiprocessing.get_context("fork"),
        )
        for x, y in zip(loader, expected, strict=True):
            assert np.array_equal(x, y)


def first_pixels(items):
    return np.asarray(items[0][0])


def test_bad_members_are_named(write_images, pack, truncate):
    root = write_images({"a/1.png": 64, "a/2.png": 64, "a/3.png": 64})
    truncate(root / "a" / "2.png")
    archive = pack(root)  # stored, so that a byte of 3.png can be found and changed
    content, tail = archive.read_bytes(), (root / "a" / "3.png").read_bytes()[-40:-30]
    assert content.count(tail) == 1
    archive.write_bytes(content.replace(tail, bytes(10)))
    data = load_data(f"zip:{archive}")
    assert data[0][0].size == (64, 64)
    for bad, words in ((1, "truncated"), (2, "CRC")):
        with pytest.raises(CorruptImage, match=words) as error:
            data[bad]
        assert error.value.path == f"{archive}/a/{bad + 1}.png" and str(archive) in str(error.value)
        assert "\n" not in str(error.value)
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_archives_that_cannot_be_read(write_images, pack, truncate, tmp_path):
    root = write_images({"train/a/1.png": 8})
    good = pack(root)
    with pytest.raises(InputError, match="has no test folder; it has: train"):
        load_data(f"zip:{good}", split="test")
    with pytest.raises(InputError, match="write zip:"):
        load_data(str(good))
    cut = truncate(pack(root, "cut.zip"))
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "folder.zip").mkdir()
    for file, words in ((cut, "cut off"), (tmp_path / "text.zip", "not a zip file"),
                        (tmp_path / "folder.zip", "is a folder"),
                        (tmp_path / "none.zip", "check the path")):  # fmt: skip
        with pytest.raises(InputError, match=words) as error:
            load_data(f"zip:{file}", split="train")
        assert file.name in str(error.value) and "\n" not in str(error.value)
    locked = good.read_bytes()
    for header, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag that says "encrypted"
        for start in [i for i in range(len(locked)) if locked.startswith(header, i)]:
            at = start + offset
            locked = locked[:at] + bytes([locked[at] | 1]) + locked[at + 1 :]
    (tmp_path / "locked.zip").write_bytes(locked)
    with pytest.raises(InputError, match="locked.zip are encrypted"):
        load_data(f"zip:{tmp_path / 'locked.zip'}", split="train")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a/notes.txt", "no image")
    with pytest.raises(InputError, match="no images in .*empty.zip"):
        load_data(f"zip:{tmp_path / 'empty.zip'}")
