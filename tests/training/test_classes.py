"""Classes of the training and the test images: the same by name, or an error that names both."""

import shutil

import numpy as np
import pytest
from PIL import Image

from vitprobe.errors import InputError
from vitprobe.training.classes import with_classes_of
from vitprobe.training.parts import open_parts
from vitprobe.training.resolve import resolve


@pytest.fixture
def folders(tmp_path):
    """folders(name, classes) -> the path of six grey images in each class."""

    def write(name, classes):
        for label in classes:
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(6):
                Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(
                    tmp_path / name / label / f"{i}.png"
                )
        return tmp_path / name

    return write


def opened(dataset, test_dataset=None):
    return open_parts(resolve("scratch", {"dataset": dataset, "test_dataset": test_dataset}))


def names(part):
    """The class name of each image."""
    return [part.data.class_names[label] for label in part.labels]


@pytest.mark.parametrize("kind", ["imagefolder", "zip"])
def test_parts_of_a_folder_with_other_classes(folders, tmp_path, kind):
    folders("set/train", ["a", "b"])
    folders("set/test", ["a", "zebra"])
    path = tmp_path / "set"
    if kind == "zip":
        path = shutil.make_archive(str(path), "zip", path)
    with pytest.raises(InputError) as error:
        opened(f"{kind}:{path}")
    whole = f"{kind}:{path}"
    assert str(error.value) == (
        f"only the test images of {whole} have zebra, only the training images of {whole} have b: "
        "both need the same classes, under the same names"
    )


def test_two_folders_with_other_classes(folders):
    train, test = folders("a", ["cat", "dog"]), folders("b", ["cat", "dog", "zebra"])
    with pytest.raises(InputError, match=r"only the test images of .*b have zebra: both need"):
        opened(f"imagefolder:{train}", f"imagefolder:{test}")


def test_of_many_classes_some_are_named(folders):
    train, test = (
        folders("a", [f"a{i}" for i in range(9)]),
        folders("b", [f"b{i}" for i in "1234567"]),
    )
    with pytest.raises(InputError, match=r"have b1, b2, b3, b4, b5, \.\.\., only .* a4, \.\.\.: "):
        opened(f"imagefolder:{train}", f"imagefolder:{test}")


def test_a_test_of_some_classes_keeps_their_indices(folders):
    train, test = folders("a", ["1", "10", "2"]), folders("b", ["1", "2"])
    parts = opened(f"imagefolder:{train}", f"imagefolder:{test}")
    assert parts.test.labels.tolist() == [0] * 6 + [2] * 6  # of its own they are 0 and 1
    assert parts.test.data[7][1] == 2 and parts.train.data.num_classes == 3
    assert names(parts.test) == ["1"] * 6 + ["2"] * 6
    assert parts.note == "there is no test image of 10"


def test_a_class_that_only_validation_has_does_not_matter(folders):
    folders("set/train", ["b", "c"])
    folders("set/val", ["a", "b"])
    folders("set/test", ["b", "c"])
    parts = opened(f"imagefolder:{folders('set', [])}")
    assert parts.train.data.class_names == ["a", "b", "c"] and parts.note == ""
    assert set(names(parts.test)) == {"b", "c"}


def arrays(path, labels):
    labels = np.repeat(labels, 4)
    np.savez(path, images=np.zeros((len(labels), 8, 8), np.uint8), labels=labels)
    return f"npz:{path}.npz"


def test_numbers_of_npz_files(tmp_path):
    train = arrays(tmp_path / "train", [0, 1, 3])
    parts = opened(train, arrays(tmp_path / "some", [0, 1]))
    assert parts.note == "there is no test image of 3" and set(parts.test.labels) == {0, 1}
    assert parts.test.data.num_classes == 4
    for other in ([0, 1, 2, 3], [3, 4]):
        with pytest.raises(InputError, match="only the test images of .*other.npz have [24]"):
            opened(train, arrays(tmp_path / "other", other))


def test_names_are_no_numbers(folders, tmp_path):
    train, test = folders("a", ["cat", "dog"]), arrays(tmp_path / "b", [0, 1])
    with pytest.raises(InputError, match="b.npz have 0, 1, only .*a have cat, dog: "):
        opened(f"imagefolder:{train}", test)


def saved(path, class_names):
    """A data set of Hugging Face's library: an image of each class, four times."""
    datasets = pytest.importorskip("datasets")
    labels = list(range(len(class_names))) * 4
    images = [Image.fromarray(np.full((8, 8), 9, np.uint8)) for _ in labels]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=class_names)}
    )
    datasets.Dataset.from_dict({"image": images, "label": labels}, features).save_to_disk(path)
    return f"hfds:{path}"


def test_names_in_another_order_are_matched(tmp_path):
    train = saved(tmp_path / "a", ["dog", "cat", "emu"])
    parts = opened(train, saved(tmp_path / "b", ["cat", "dog", "emu"]))
    assert parts.train.data.class_names == ["dog", "cat", "emu"]
    assert names(parts.test) == ["cat", "dog", "emu"] * 4
    with pytest.raises(InputError, match="only .*c have fox, only .*a have cat"):
        opened(train, saved(tmp_path / "c", ["dog", "emu", "fox"]))


def test_a_name_that_stands_twice_cannot_be_matched(tmp_path):
    train = opened(saved(tmp_path / "one", ["a", "b"])).train.data
    test = opened(saved(tmp_path / "two", ["a", "b"])).train.data
    train.class_names = ["crane", "crane"]
    with pytest.raises(InputError, match="classes of hfds:.*one share a name"):
        with_classes_of(train, test)
    test.class_names = ["crane", "crane"]  # the same list: by place
    assert with_classes_of(train, test)[0].labels.tolist() == test.labels.tolist()
