"""PairedLoader over map-style data: one order and one decoding for all models."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from vitprobe.data import CorruptImage, PairedLoader, Transform, example_order, load_data
from vitprobe.errors import InputError, VitprobeWarning


@pytest.fixture(scope="module")
def cifar(real_data):
    return load_data(f"npz:{real_data / 'cifar10-test1000.npz'}")


class Counting(Dataset):
    """Real images that count how often each is read."""

    def __init__(self, data):
        self.data, self.reads = data, Counter()

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        self.reads[index] += 1
        return self.data[index]


class Items(Dataset):
    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def indices(loader):
    return torch.cat([batch.index for batch in loader])


def test_each_model_sees_the_same_examples(cifar):
    """Every row of every batch is the transform of the example that its index names."""
    small, large = Transform(32), Transform(64, (0, 0, 0), (1, 1, 1), interpolation="bicubic")
    loader = PairedLoader(cifar, [small, large], batch_size=16, examples=40, seed=3)
    batches = list(loader)
    assert [len(batch.index) for batch in batches] == [16, 16, 8]
    assert (loader.examples, loader.batches_per_pass, loader.num_classes) == (40, 3, 10)
    own = small.filled(mean=cifar.mean, std=cifar.std)
    assert loader.transforms == (own, large)
    for batch in batches:
        for row, index in enumerate(batch.index.tolist()):
            image, label = cifar[index]
            assert torch.equal(batch.images[0][row], own(image))
            assert torch.equal(batch.images[1][row], large(image))
            assert batch.labels[row] == label
    assert torch.equal(indices(loader), example_order(1000, seed=3, examples=40))


def test_each_image_is_decoded_once_per_pass(cifar):
    counting = Counting(cifar)
    loader = PairedLoader(
        counting, [Transform(32), Transform(48), Transform(32)], batch_size=10, examples=30
    )
    for batch in loader:
        assert batch.images[0] is batch.images[2], "equal transforms share the tensor"
        assert batch.images[1].shape[-1] == 48
    assert set(counting.reads.values()) == {1} and len(counting.reads) == 30


def test_passes_draw_anew(cifar):
    loader = PairedLoader(cifar, [Transform(8)], batch_size=32, examples=80, passes=3)
    seen = indices(loader).split(80)
    assert [order.tolist() for order in seen] == [
        example_order(1000, examples=80, pass_index=k).tolist() for k in range(3)
    ]
    assert [len(batch.index) for batch in loader] == [32, 32, 16] * 3
    assert torch.equal(indices(loader), torch.cat(seen)), "a second run is the same"


def test_file_order_and_prefix(cifar):
    few = PairedLoader(cifar, [Transform(8)], batch_size=7, examples=20)
    many = PairedLoader(cifar, [Transform(8)], batch_size=11, examples=50)
    assert torch.equal(indices(few), indices(many)[:20])
    files = PairedLoader(cifar, [Transform(8)], batch_size=7, examples=20, order="file")
    assert indices(files).tolist() == list(range(20))


def test_workers_change_nothing(cifar):
    before = torch.get_rng_state()
    runs = [
        list(PairedLoader(cifar, [Transform(16)], batch_size=9, examples=40, workers=workers))
        for workers in (0, 2)
    ]
    for alone, helped in zip(*runs, strict=True):
        assert torch.equal(alone.index, helped.index)
        assert torch.equal(alone.images[0], helped.images[0])
        assert torch.equal(alone.labels, helped.labels)
    assert torch.equal(torch.get_rng_state(), before), "the caller's random state is left alone"


@pytest.mark.parametrize(
    ("examples", "batch_size", "batches"), [(1000, 125, 8), (100, 32, 4), (256, 32, 8)]
)
def test_default_batch_size(cifar, examples, batch_size, batches):
    loader = PairedLoader(cifar, [Transform(8)], examples=examples)
    assert (loader.batch_size, loader.batches_per_pass) == (batch_size, batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images(write_images, truncate, workers):
    root = write_images({f"{'ab'[i % 2]}/{i}.png": 32 for i in range(12)})
    bad = [str(truncate(root / "a" / "4.png")), str(root / "b" / "7.png")]
    (root / "b" / "7.png").write_bytes(b"")
    data = load_data(f"imagefolder:{root}")
    arguments = {"batch_size": 4, "order": "file", "workers": workers}

    with pytest.raises(CorruptImage) as error:
        list(PairedLoader(data, [Transform(16)], **arguments))
    assert bad[0] in str(error.value) and "\n" not in str(error.value)

    loader = PairedLoader(data, [Transform(16)], passes=2, skip_bad_images=True, **arguments)
    batches = list(loader)
    assert sorted(loader.skipped) == sorted(bad), "each is named once"
    kept = [i for i in range(12) if data.paths[i] not in bad]
    assert torch.cat([batch.index for batch in batches]).tolist() == kept * 2
    for batch in batches:
        assert batch.images[0].shape[0] == len(batch.index) == len(batch.labels)
        assert batch.labels.tolist() == data.labels[batch.index].tolist()


def test_a_batch_of_bad_images_only_is_left_out(write_images, truncate):
    root = write_images({f"a/{i}.png": 32 for i in range(8)})
    for i in range(4):
        truncate(root / "a" / f"{i}.png")
    loader = PairedLoader(
        f"imagefolder:{root}", [Transform(16)], batch_size=4, order="file", skip_bad_images=True
    )
    assert [batch.index.tolist() for batch in loader] == [[4, 5, 6, 7]]
    assert len(loader.skipped) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_image_of_a_users_own_data(write_images, truncate, workers):
    """A data set that opens files itself, as torchvision's ImageFolder does."""
    from torchvision.datasets import ImageFolder

    root = write_images({f"a/{i}.png": 32 for i in range(6)})
    truncate(root / "a" / "2.png")
    data = ImageFolder(root)
    with pytest.raises(CorruptImage, match="number 2 of ImageFolder"):
        list(PairedLoader(data, [Transform(16)], batch_size=6, workers=workers))
    loader = PairedLoader(
        data, [Transform(16)], batch_size=6, workers=workers, skip_bad_images=True, order="file"
    )
    assert indices(loader).tolist() == [0, 1, 3, 4, 5]
    assert loader.num_classes == 1


def test_users_data_sets(cifar):
    """PIL images, arrays, mappings and float tensors, with and without labels."""
    images = [cifar[i][0] for i in range(4)]
    want = torch.stack([Transform(32)(image) for image in images])
    for items, labels in (
        (images, None),
        ([np.asarray(image) for image in images], None),
        ([(image, i, "more") for i, image in enumerate(images)], [0, 1, 2, 3]),
        ([{"pixel_values": x, "label": torch.tensor(2)} for x in images], [2, 2, 2, 2]),
        ([(image, 0.5) for image in images], None),
        ([(image, -1) for image in images], None),
    ):
        loader = PairedLoader(Items(*items), [Transform(32)], batch_size=4, order="file")
        (batch,) = loader
        assert torch.equal(batch.images[0], want)
        assert (None if batch.labels is None else batch.labels.tolist()) == labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_float_tensors_are_taken_as_they_are(dtype):
    items = [((torch.randn(3, 20, 20) * 9).to(dtype), i) for i in range(4)]
    loader = PairedLoader(Items(*items), [Transform(8), Transform(16)], order="file")
    (batch,) = loader
    assert torch.equal(batch.images[0], torch.stack([x for x, _ in items]))
    assert batch.images[1] is batch.images[0]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        (Stream(), {}, "Stream gave no images"),
        (7, {}, "int cannot be read: give a data set of images"),
        (Dataset(), {}, "no length"),
        (Items(*[torch.zeros(3, 8, 8, dtype=torch.uint8)] * 4), {}, "torch.uint8.*convert"),
        (Items(*[torch.zeros(8, 8)] * 4), {}, r"\(8, 8\): expected \(C, H, W\)"),
        (Items(*[{"pixels": 1, "y": 2}] * 4), {}, "keys pixels, y"),
        (Items(*["a.png"] * 4), {}, "got str"),
        (Items(*[Image.new("L", (i, 9)) for i in (8, 9, 9, 9)]), {}, "differ in size.*3x9x8"),
        ("digits", {"batch_size": 0}, "batch_size must be 1 or more"),
        ("digits", {"passes": 0}, "passes must be 1 or more"),
        ("digits", {"workers": -1}, "workers must be 0 or more"),
        ("digits", {"examples": 361}, "asked for 361 examples, but there are 360"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_cannot_be_used(data, arguments, words, workers):
    with pytest.raises(InputError, match=words) as error:
        list(PairedLoader(data, [Transform()], **{"workers": workers, **arguments}))
    assert "\n" not in str(error.value)


def sorted_by_class(labels, tmp_path):
    np.savez(tmp_path / "set.npz", images=np.zeros((len(labels), 4, 4), np.uint8), labels=labels)
    return f"npz:{tmp_path / 'set.npz'}"


def test_class_sorted_files_are_warned_about(tmp_path):
    name = sorted_by_class(np.repeat(np.arange(10), 40), tmp_path)
    loader = PairedLoader(name, [Transform()], batch_size=80, order="file")
    with pytest.warns(VitprobeWarning, match="2 of 10 classes, where a random one shows about 10"):
        list(loader)
    list(loader)
    assert len(loader.notes) == 1, "said once"


@pytest.mark.parametrize(
    ("labels", "batch_size", "order"),
    [
        (np.repeat(np.arange(10), 40), 80, "seeded"),  # shuffled
        (np.arange(2000) * 7 % 1000, 256, "file"),  # no batch of 256 shows 1,000 classes
        (np.repeat(np.arange(10), 40), 4, "seeded"),  # nor one of 4 ten
        (np.r_[np.zeros(990, int), np.arange(10)], 64, "file"),  # nine of ten classes are rare
        (np.array([0, 999] * 50), 50, "file"),  # two classes, whatever their numbers
        (np.zeros(100, int), 50, "file"),  # one class
    ],
)
def test_fair_batches_are_not(tmp_path, labels, batch_size, order):
    loader = PairedLoader(
        sorted_by_class(labels, tmp_path), [Transform()], batch_size=batch_size, order=order
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(loader)
    assert loader.notes == []
