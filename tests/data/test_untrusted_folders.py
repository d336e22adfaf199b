"""Folders whose links have no end, pipes among the images, names that set a terminal's colours."""

import os
import random
import time

import pytest
from untrusted_data import ESCAPE, names, refused

from vitprobe.data import CorruptImage, PairedLoader, Transform, image_files, load_data
from vitprobe.data.layout import natural
from vitprobe.errors import InputError, VitprobeWarning


@pytest.fixture
def folder(write_images):
    return write_images({f"{c}/{i}.png": 4 for c in "ab" for i in range(4)})


def test_one_link_to_its_own_folder_repeats_nothing(folder):
    (folder / "a" / "again").symlink_to(".")
    data = load_data(f"imagefolder:{folder}")
    assert len(data) == 8 and len(set(data.paths)) == 8
    (note,) = data.notes
    assert note.endswith("were left out: a/again")
    with pytest.warns(VitprobeWarning, match="there already, under other names"):
        assert note in PairedLoader(data, [Transform(4)]).notes


def test_links_that_have_no_end(folder, tmp_path):
    (folder / "a" / "x").symlink_to(folder)
    (folder / "a" / "y").symlink_to(folder / "a")
    (folder / "a" / "z").symlink_to(tmp_path)  # a folder above the data
    (folder / "loop").symlink_to("loop")  # leads nowhere
    (folder / "c").symlink_to("a")  # a class that is another
    data = load_data(f"imagefolder:{folder}")
    assert names(data, folder) == [f"{c}/{i}.png" for c in "ab" for i in range(4)]
    assert data.class_names == ["a", "b", "c"]
    assert any("left out" in note and "c" in note for note in data.notes)
    assert len(image_files(folder)) == 8 and image_files(folder).notes


def test_a_link_to_another_folder_is_followed_once(folder, tmp_path, write_images):
    other = write_images({"1.png": 4, "deep/2.png": 4}, tmp_path / "other")
    for name in ("p", "q"):
        (folder / "b" / name).symlink_to(other)
    found = names(load_data(f"imagefolder:{folder}"), folder)
    assert [name for name in found if name.startswith("b/p")] == ["b/p/1.png", "b/p/deep/2.png"]
    assert not [name for name in found if name.startswith("b/q")]


def test_a_split_that_is_a_link_is_read(folder, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "test").symlink_to(folder)
    assert len(load_data(f"imagefolder:{tmp_path}/set")) == 8


def test_pipes_devices_and_broken_links_are_one_line(folder):
    os.mkfifo(folder / "a" / "pipe.png")
    (folder / "a" / "zero.png").symlink_to("/dev/zero")
    (folder / "b" / "gone.png").symlink_to("nowhere")
    data = load_data(f"imagefolder:{folder}")
    loader = PairedLoader(data, [Transform(4)], skip_bad_images=True)
    start = time.monotonic()
    assert sum(len(batch.index) for batch in loader) == 8 and time.monotonic() - start < 5
    assert sorted(path.rpartition("/")[2] for path in loader.skipped) == [
        *("gone.png", "pipe.png", "zero.png")
    ]
    for index, path in enumerate(data.paths):
        if path in loader.skipped:
            with pytest.raises(CorruptImage, match="is a pipe|is a device|no image"):
                data[index]
    with pytest.raises(InputError, match="is a pipe"):
        image_files(folder / "a" / "pipe.png")


def test_a_folder_that_cannot_be_read_is_not_passed_over(folder, monkeypatch):
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    refused(f"imagefolder:{folder}", "cannot read folder .*/b: Permission denied")


def test_names_with_escapes_are_shown_escaped(write_images, tmp_path):
    root = write_images({f"{ESCAPE}/1\n.png": 4, "b/2.png": 4})
    (root / f"e{ESCAPE}").mkdir()
    (root / "b" / f"3{ESCAPE}.png").write_bytes(b"no image")
    data = load_data(f"imagefolder:{root}")
    assert data.class_names[0] == r"\x1b]0;title\x07\x1b[31m"
    assert all(text.isprintable() for text in (*data.class_names, *data.notes))
    assert data[0][0].size == (4, 4)
    with pytest.raises(CorruptImage) as error:
        data[2]
    assert str(error.value).isprintable() and r"3\x1b]0;title" in str(error.value)
    refused(f"imagefolder:{tmp_path}/{ESCAPE}", r"x1b\]0;title.* is not a folder")
    for name in (f"{ESCAPE}digits", "imagefolder:a\0b", "zip:~nosuchuser/x", "~nosuchuser/x"):
        refused(name, "unknown data set|is no path|no such user")


def test_natural_order_of_numbers_of_any_length():
    ordered = ["a", "a01", "a1", "a2", "a2b", "a10", "a" + "9" * 5001, "a" + "1" * 5002, "a-", "ab"]
    texts = random.Random(0).sample(ordered, len(ordered))
    assert sorted(texts, key=natural) == ordered
    assert natural("x/2.png") < natural("x/10.png") < natural("x/a.png")
