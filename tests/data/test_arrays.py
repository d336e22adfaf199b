"""NumPy arrays: images in memory, or inputs taken as they are."""

import warnings

import numpy as np
import pytest
import torch

import vitprobe
from vitprobe.data import PairedLoader, Transform
from vitprobe.data.images import channel_statistics
from vitprobe.errors import InputError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (12, 9, 8), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (12, 9, 8, 3), dtype=np.uint8)
FLOATS = RANDOM.normal(size=(12, 3, 9, 8)).astype(np.float32)


@pytest.mark.parametrize("images", [GREY, GREY[..., None], COLOUR, COLOUR[::-1, ::-1]])
@pytest.mark.parametrize("own", [Transform(8), Transform(8, (0.5,) * 3, (0.5,) * 3)])
def test_images_are_transformed_in_a_seeded_order(images, own):
    loader = PairedLoader(images, [own, Transform(16)], batch_size=6)
    mean, std = channel_statistics(images)
    own = own.filled(mean=mean, std=std)
    batches = list(loader)
    order = torch.cat([batch.index for batch in batches])
    assert sorted(order.tolist()) == list(range(12)) and order.tolist() != list(range(12))
    for batch in batches:
        assert batch.labels is None and batch.images[1].shape == (6, 3, 16, 16)
        for row, i in enumerate(batch.index.tolist()):
            assert torch.equal(batch.images[0][row], own(images[i]))
    assert loader.order == "seeded" and loader.name == "array " + "x".join(map(str, images.shape))


@pytest.mark.parametrize(
    "x",
    [
        FLOATS,
        FLOATS.astype(np.float64),
        FLOATS.astype(np.float16),
        FLOATS.astype(">f4"),
        FLOATS[::-1],
        np.moveaxis(np.ascontiguousarray(np.moveaxis(FLOATS, 1, 3)), 3, 1),
    ],
    ids=["float32", "float64", "float16", "big-endian", "backwards", "channels last in memory"],
)
def test_floats_are_taken_as_a_tensor_is(x):
    loader = PairedLoader(x, [Transform(4), Transform(8)], batch_size=8)
    batches = list(loader)
    assert (loader.order, loader.name) == ("as given", "tensor 12x3x9x8")
    images = torch.cat([batch.images[0] for batch in batches])
    assert images.is_contiguous() and np.array_equal(images.numpy(), x)
    assert images.numpy().dtype == x.dtype.newbyteorder("=")
    assert batches[0].images[1] is batches[0].images[0]


def test_a_mapped_file_is_read_without_a_word(tmp_path):
    np.save(tmp_path / "x.npy", FLOATS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        (batch,) = PairedLoader(mapped, [Transform()], batch_size=12)
    assert np.array_equal(batch.images[0].numpy(), FLOATS)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (
            COLOUR.astype(np.int64),
            r"array of int64 .*give uint8 \(N, H, W, 3\), 0 to 255, or float",
        ),
        (COLOUR > 9, "array of bool"),
        (COLOUR.astype(np.complex64), "array of complex64"),
        (np.array([None] * 8), "array of object"),
        (COLOUR.transpose(0, 3, 1, 2), r"got \(12, 3, 9, 8\), channels last: x.transpose"),
        (COLOUR[0], r"got \(9, 8, 3\): x\[None\] makes a set of one image"),
        (COLOUR[..., :2], r"\(N, H, W, 3\), got \(12, 9, 8, 2\)"),
        (COLOUR[0, 0], r"got \(8, 3\)"),
        (COLOUR[:0], "empty"),
        (COLOUR[:3], "at least 4 examples, got 3"),
        (FLOATS.transpose(0, 2, 3, 1), r"before height and width, got \(12, 9, 8, 3\): x.transp"),
        (FLOATS[0], r"\(3, 9, 8\): expected \(N, C, H, W\)"),
        (FLOATS[:3], "at least 4 examples, got 3"),
    ],
)
def test_arrays_that_cannot_be_used(x, words):
    for use in (lambda: PairedLoader(x, [Transform()]), lambda: vitprobe.cka("resnet20", data=x)):
        with pytest.raises(InputError, match=words) as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_cka_of_arrays_is_that_of_tensors_and_files(tmp_path):
    x = RANDOM.normal(size=(16, 3, 32, 32))
    arguments = {"layers": ["layer1.0", "output"], "batch_size": 8, "device": "cpu"}
    ours = vitprobe.cka("resnet20", data=x, **arguments)
    theirs = vitprobe.cka("resnet20", data=torch.from_numpy(x), **arguments)
    assert np.array_equal(ours["cka"], theirs["cka"]), "float64 becomes the model's float32"
    images = RANDOM.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(16) % 10)
    ours = vitprobe.cka("resnet20", data=images, **arguments)
    theirs = vitprobe.cka("resnet20", data=f"npz:{tmp_path}/set.npz", **arguments)
    assert np.array_equal(ours["cka"], theirs["cka"])
    assert ours.attrs["model_a_image_size"] == "32, 32"
