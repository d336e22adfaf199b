"""TrainingImages: the bytes that Transform would give, kept or streamed."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from vitprobe.data import CorruptImage, Transform, load_data
from vitprobe.data.images import ArrayImages
from vitprobe.training import images as module
from vitprobe.training.images import TrainingImages
from vitprobe.training.memory import default_limit


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """zip:PATH of 40 PNGs, of which the last is cut off, 24 x 30 to 63 x 30 px."""
    path = tmp_path_factory.mktemp("zip") / "noise.zip"
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(40):
            noise = random.integers(0, 256, (24 + i, 30, 3), dtype=np.uint8)
            with archive.open(f"{i % 2}/{i:02}.png", "w") as file:
                if i == 39:
                    file.write(b"no image")
                else:
                    Image.fromarray(noise).save(file, "png")
    return load_data(f"zip:{path}")


def collected(images, order):
    pairs = list(images.batches(order))
    assert [len(x) for x, _ in pairs] == [len(part) for part in order]
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


@pytest.mark.parametrize(
    "options", [{}, {"limit_bytes": 0}, {"limit_bytes": 0, "workers": 2}], ids=str
)
def test_batches_are_the_decoded_rows(files, options):
    rows = torch.arange(38, 0, -2)
    images = TrainingImages(files, rows, (28, 32), device="cpu", crop_pct=0.9, **options)
    assert (len(images), images.in_memory) == (19, not options)
    transform = Transform((28, 32), crop_pct=0.9)
    state = torch.get_rng_state()
    for seed in (0, 1):  # two passes in different orders
        order = torch.randperm(19, generator=torch.Generator().manual_seed(seed)).split(5)
        x, y = collected(images, order)
        assert (x.dtype, x.shape, y.dtype) == (torch.uint8, (19, 3, 28, 32), torch.int64)
        for i, position in enumerate(torch.cat(order).tolist()):
            image, label = files[rows[position]]
            assert torch.equal(x[i].float() / 255, transform(image)) and y[i] == label
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are its own"


def test_a_pass_that_was_left_does_not_disturb_the_next(files):
    images = TrainingImages(files, torch.arange(30), (8, 8), device="cpu", limit_bytes=0, workers=1)
    next(images.batches(torch.arange(30).split(2)))
    x, _ = collected(images, (torch.arange(4),))
    kept, _ = collected(
        TrainingImages(files, torch.arange(4), (8, 8), device="cpu"), (torch.arange(4),)
    )
    assert torch.equal(x, kept)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_images_are_named(files, workers):
    rows = torch.tensor([0, 39])
    with pytest.raises(CorruptImage, match="noise.zip/1/39.png"):
        TrainingImages(files, rows, (8, 8), device="cpu")
    streamed = TrainingImages(files, rows, (8, 8), device="cpu", limit_bytes=0, workers=workers)
    with pytest.raises(CorruptImage, match="noise.zip/1/39.png") as error:
        list(streamed.batches([torch.tensor([0]), torch.tensor([0, 1])]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(9, 4, 5), (9, 4, 5, 1), (9, 4, 5, 3)])
def test_arrays_of_the_right_size_are_copied(shape, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = ArrayImages("noise", "train", pixels, np.arange(9) % 3, "abc")
    monkeypatch.setattr(module, "CHUNK", 2)
    rows, done = torch.tensor([8, 0, 3, 4, 7]), []
    images = TrainingImages(data, rows, (4, 5), device="cpu", progress=done.append)
    x, y = collected(images, (torch.tensor([4, 0]), torch.tensor([1])))
    assert done == [2, 2, 1]
    assert y.tolist() == [1, 2, 0]
    expected = torch.stack([Transform(None)(data.decode(i)) for i in (7, 8, 0)])
    assert torch.equal(x.float() / 255, expected)
    calls = []
    monkeypatch.setattr(ArrayImages, "decode", lambda self, index: calls.append(index))
    TrainingImages(data, rows, (4, 5), device="cpu")
    assert not calls, "no image is decoded by itself"


def test_no_batches(files):
    images = TrainingImages(files, torch.arange(3), (8, 8), device="cpu")
    assert list(images.batches([])) == []


def test_memory_is_limited(files, monkeypatch):
    assert 0 < default_limit() <= 4 * 2**30
    monkeypatch.setattr("vitprobe.training.images.default_limit", lambda: 3 * 3 * 8 * 8 - 1)
    images = TrainingImages(files, torch.arange(3), (8, 8), device="cpu")
    assert (images.nbytes, images.in_memory) == (3 * 3 * 8 * 8, False)


@pytest.mark.cuda
@pytest.mark.parametrize("room", ["gpu", "host", "streamed"])
def test_batches_on_a_gpu(files, room, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    if room == "host":
        monkeypatch.setattr(module, "fits_on_gpu", lambda device, nbytes: False)
    limit = 0 if room == "streamed" else None
    rows, order = torch.arange(20), torch.randperm(20).split(6)
    on_gpu = TrainingImages(files, rows, (16, 16), device="cuda", limit_bytes=limit)
    x, y = collected(on_gpu, order)
    assert x.is_cuda and y.is_cuda
    kept_x, kept_y = collected(TrainingImages(files, rows, (16, 16), device="cpu"), order)
    assert torch.equal(x.cpu(), kept_x) and torch.equal(y.cpu(), kept_y)
