"""Folders and archives as people have them: odd files among the images, images of all modes."""

import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from vitprobe.data import PairedLoader, Transform, load_data
from vitprobe.errors import VitprobeWarning

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
LEVELS = COLOURS[..., 0]
SEEN = np.random.default_rng(1).integers(0, 256, (6, 5), dtype=np.uint8)  # an alpha channel
INK = np.random.default_rng(2).integers(0, 256, (6, 5, 4), dtype=np.uint8)
PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3), dtype=np.uint8)


def palette():
    image = Image.fromarray(LEVELS)
    image.putpalette(PALETTE.tobytes())
    return image


def grey(levels):
    return np.repeat(levels[..., None], 3, axis=2)


# file: (image, how it is saved, what is seen)
KINDS = {
    "1.png": (Image.fromarray(LEVELS > 99), {}, grey((LEVELS > 99) * np.uint8(255))),
    "l.png": (Image.fromarray(LEVELS), {}, grey(LEVELS)),
    "l-clear.png": (Image.fromarray(LEVELS), {"transparency": 7}, grey(LEVELS)),
    "la.png": (Image.fromarray(np.dstack([LEVELS, SEEN]), "LA"), {}, grey(LEVELS)),
    "rgb.bmp": (Image.fromarray(COLOURS), {}, COLOURS),
    "rgb-clear.png": (Image.fromarray(COLOURS), {"transparency": (1, 2, 3)}, COLOURS),
    "rgba.png": (Image.fromarray(np.dstack([COLOURS, SEEN])), {}, COLOURS),
    "rgba.webp": (
        Image.fromarray(np.dstack([COLOURS, SEEN])), {"lossless": True, "exact": True}, COLOURS,
    ),
    "p.png": (palette(), {}, PALETTE[LEVELS]),
    "p.gif": (palette(), {}, PALETTE[LEVELS]),
    "p-clear.png": (palette(), {"transparency": bytes(range(256))}, PALETTE[LEVELS]),
    "p-hole.png": (palette(), {"transparency": int(LEVELS[0, 0])}, PALETTE[LEVELS]),
    "p-hole.gif": (palette(), {"transparency": int(LEVELS[0, 0])}, PALETTE[LEVELS]),
    "i16.png": (Image.fromarray(LEVELS.astype(np.uint16) * 256 + 9), {}, grey(LEVELS)),
    "i16.tif": (Image.fromarray(LEVELS.astype(np.uint16) * 256 + 9), {}, grey(LEVELS)),
    "cmyk.tif": (
        Image.fromarray(INK, "CMYK"),
        {},
        np.asarray(Image.fromarray(INK, "CMYK").convert("RGB")),
    ),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """One class of all kinds, one that is empty, one of hidden things, and what systems leave."""
    root = tmp_path / "images"
    for name in ("kinds", "empty", "bees", ".ipynb_checkpoints", "kinds/.ipynb_checkpoints"):
        (root / name).mkdir(parents=True)
    for name, (image, options, _) in KINDS.items():
        image.save(root / "kinds" / name, **options)
    Image.fromarray(LEVELS).save(root / "kinds" / ".ipynb_checkpoints" / "l-checkpoint.png")
    Image.fromarray(LEVELS).save(root / ".ipynb_checkpoints" / "l-checkpoint.png")
    for place in (root, root / "kinds", root / "empty", root / "bees"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._l.png"):
            (place / name).write_bytes(b"no image")
    Image.fromarray(COLOURS).convert("CMYK").save(root / "bees" / "cmyk.jpg", quality=100)
    return root


@pytest.fixture(params=["imagefolder", "zip"])
def data(request, folder):
    if request.param == "imagefolder":
        return load_data(f"imagefolder:{folder}")
    with zipfile.ZipFile(folder.parent / "images.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return load_data(f"zip:{folder.parent / 'images.zip'}")


def test_only_images_are_found_and_an_empty_class_keeps_its_index(data):
    assert data.class_names == ["bees", "empty", "kinds"]
    assert data.labels.tolist() == [0] + [2] * len(KINDS)
    names = [path.rpartition("/")[2] for path in data.paths]
    assert names[0] == "cmyk.jpg" and sorted(names[1:]) == sorted(KINDS)
    (note,) = data.notes
    assert note.endswith("has class folders without images, which count as classes: empty")
    with pytest.warns(VitprobeWarning, match="count as classes: empty"):
        assert note in PairedLoader(data, [Transform(8)]).notes


@pytest.mark.parametrize("name", KINDS)
def test_every_mode_is_seen_as_its_colours(data, name):
    """Transparency is dropped; of 16 bits the upper 8 are kept; nothing is warned of."""
    place = next(i for i, path in enumerate(data.paths) if path.endswith(f"/{name}"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, _ = data[place]
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), KINDS[name][2])


def test_a_jpeg_of_inks_is_near_its_colours(data):
    assert np.abs(np.asarray(data[0][0]).astype(int) - COLOURS).mean() < 40
    assert data[0][0].mode == "RGB"


def test_training_tells_of_it_too(write_images):
    from vitprobe.training.parts import open_parts
    from vitprobe.training.resolve import resolve

    root = write_images({f"{name}/{i}.png": 4 for name in "ab" for i in range(20)})
    (root / "c").mkdir()
    note = open_parts(resolve("scratch", {"dataset": f"imagefolder:{root}"})).note
    assert "kept for the test" in note and note.endswith("which count as classes: c")


def test_no_note_without_empty_folders(write_images):
    assert load_data(f"imagefolder:{write_images({'a/1.png': 4, 'b/1.png': 4})}").notes == ()
    flat = write_images({"1.png": 4}, write_images({}).parent / "flat")
    (flat / "docs").mkdir()
    assert load_data(f"imagefolder:{flat}").notes == (), "without classes none is empty"


def test_many_empty_folders_are_not_all_named(write_images):
    root = write_images({"val/a/1.png": 4})
    for number in range(7):
        (root / "val" / f"c{number}").mkdir()
    (note,) = load_data(f"imagefolder:{root}", split="val").notes
    assert note.endswith(": c0, c1, c2, c3, c4, ...") and f"{root}/val has" in note
