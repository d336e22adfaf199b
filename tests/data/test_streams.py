"""Data that can only be iterated over: its own order, transformed like any other."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset

import vitprobe
from vitprobe.data import CorruptImage, PairedLoader, Transform
from vitprobe.errors import InputError, VitprobeWarning

IMAGES = [
    Image.fromarray(np.random.default_rng(i).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    for i in range(20)
]
WANT = torch.stack([Transform(8)(image) for image in IMAGES])


class Stream(IterableDataset):
    """Gives items; `epochs` are those that it was set to."""

    def __init__(self, items):
        self.items, self.epochs = items, []

    def __iter__(self):
        return iter(self.items)


class Alone:
    """Has `__iter__` and nothing else."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def read(data, **arguments):
    loader = PairedLoader(data, [Transform(8)], **{"batch_size": 8, **arguments})
    return loader, list(loader)


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("kind", [Stream, Alone, iter, lambda items: (x for x in items)])
@pytest.mark.parametrize(
    ("item", "labelled"),
    [
        (lambda i: IMAGES[i], False),
        (lambda i: np.asarray(IMAGES[i]), False),
        (lambda i: (IMAGES[i], i % 3, "more"), True),
        (lambda i: {"image": IMAGES[i], "label": i % 3}, True),
        (lambda i: {"__key__": "x", "png": IMAGES[i], "cls": i % 3}, True),
        (lambda i: {"img": IMAGES[i], "fine_label": torch.tensor(i % 3)}, True),
    ],
)
def test_items_of_all_kinds_in_their_order(workers, kind, item, labelled):
    loader, batches = read(kind([item(i) for i in range(20)]), workers=workers)
    assert (loader.order, loader.examples, loader.batches_per_pass) == ("as given", None, None)
    assert [batch.index.tolist() for batch in batches] == [
        list(range(8)), list(range(8, 16)), list(range(16, 20)),
    ]  # fmt: skip
    assert torch.equal(torch.cat([batch.images[0] for batch in batches]), WANT)
    for batch in batches:
        assert (batch.labels is not None) == labelled
        assert not labelled or torch.equal(batch.labels, batch.index % 3)


def test_each_model_has_its_own_view_and_tensors_are_taken_as_they_are():
    transforms = [Transform(8), Transform(16), Transform(8)]
    (batch,) = PairedLoader(Alone(IMAGES), transforms, batch_size=20)
    assert batch.images[0] is batch.images[2] and batch.images[1].shape == (20, 3, 16, 16)
    x = torch.randn(20, 3, 5, 5)
    (batch,) = PairedLoader(Alone([(row, 0) for row in x]), transforms, batch_size=20)
    assert torch.equal(batch.images[0], x) and batch.images[1] is batch.images[0]


def test_the_first_examples_and_no_more_are_read():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield IMAGES[len(taken) % 20]

    loader, batches = read(endless(), examples=10)
    assert [len(batch.index) for batch in batches] == [8, 2] and len(taken) == 10
    assert (loader.examples, loader.batches_per_pass) == (10, 2)
    loader = PairedLoader(Alone(IMAGES), [Transform(8)], examples=30)
    with pytest.warns(VitprobeWarning, match="asked for 30 examples, Alone has 20: all were used"):
        list(loader)
    with pytest.raises(InputError, match="at least 4"):
        read(Alone(IMAGES), examples=3)


def test_batch_sizes_where_the_number_is_and_is_not_known():
    class Counted(Stream):
        def __len__(self):
            return 1000

    assert PairedLoader(Alone(IMAGES), [Transform(8)]).batch_size == 32
    assert PairedLoader(Alone(IMAGES), [Transform(8)], examples=1000).batch_size == 125
    known = PairedLoader(Counted(IMAGES), [Transform(8)])
    assert (known.batch_size, known.examples) == (125, 1000)


def test_passes():
    loader, batches = read(Alone(IMAGES), passes=2)
    assert torch.equal(torch.cat([batch.images[0] for batch in batches]), torch.cat([WANT] * 2))

    class Shuffling(Stream):
        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    data = Shuffling(IMAGES)
    read(data, passes=3)
    assert data.epochs == [0, 1, 2]
    with pytest.raises(InputError, match="generator can be read once only: give data that can"):
        read((x for x in IMAGES), passes=2)
    held = iter(IMAGES)
    with pytest.raises(InputError, match="no images in a second pass"):
        read(Alone(held), passes=2)
    loader = PairedLoader((x for x in IMAGES), [Transform(8)])
    next(iter(loader))
    with pytest.raises(InputError, match="once only, and was"):
        next(iter(loader))


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images(tmp_path, truncate, workers):
    for i in range(12):
        IMAGES[i].resize((64, 64)).save(tmp_path / f"{i}.png")
    truncate(tmp_path / "5.png")

    def lazily():
        return (Image.open(tmp_path / f"{i}.png") for i in range(12))

    with pytest.raises(CorruptImage, match="number 5 of generator"):
        read(lazily(), workers=workers)
    loader, batches = read(lazily(), workers=workers, skip_bad_images=True)
    kept = torch.cat([batch.index for batch in batches]).tolist()
    assert kept == [i for i in range(12) if i != 5] and len(loader.skipped) == 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([], "Alone gave no images"),
        ([torch.zeros(3, 8, 8, dtype=torch.uint8)] * 4, "torch.uint8.*convert them first"),
        ([{"pixels": 1}] * 4, "keys pixels"),
        (["a.png"] * 4, "got str"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)] * 2, "differ in size"),
    ],
)
def test_streams_that_cannot_be_used(items, words, workers):
    with pytest.raises(InputError, match=words) as error:
        read(Alone(items), workers=workers)
    assert "\n" not in str(error.value)


def test_a_stream_that_breaks_off():
    def broken():
        yield from IMAGES[:9]
        raise ConnectionError("the line\nwent dead")

    with pytest.raises(InputError, match="generator broke off after 9 examples .the line went"):
        read(broken())

    def wrong():
        yield IMAGES[0]
        raise KeyError("a fault of the user's own")

    with pytest.raises(KeyError):
        read(wrong())


def test_streams_of_hugging_face_and_webdataset(tmp_path):
    import datasets
    import webdataset

    table = datasets.Dataset.from_dict(
        {"img": IMAGES, "label": [i % 3 for i in range(20)]},
        features=datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")}),
    )
    with webdataset.TarWriter(str(tmp_path / "0.tar")) as shard:
        for i, image in enumerate(IMAGES):
            shard.write({"__key__": f"{i:03d}", "png": image, "cls": i % 3})
    shards = webdataset.WebDataset(str(tmp_path / "0.tar"), shardshuffle=False).decode("pil")
    for data in (table.to_iterable_dataset(), shards, shards.to_tuple("png", "cls")):
        loader, batches = read(data)
        assert loader.order == "as given"
        assert torch.equal(torch.cat([batch.images[0] for batch in batches]), WANT)
        assert torch.equal(batches[1].labels, batches[1].index % 3)
    shuffled = table.to_iterable_dataset().shuffle(seed=0, buffer_size=10)
    _, batches = read(shuffled, passes=2)
    first, second = torch.cat([batch.images[0] for batch in batches]).split(20)
    assert not torch.equal(first, second), "its epoch is set, so that it draws anew"


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_cka_of_a_stream_is_that_of_the_data_set_in_file_order():
    pairs = [(image.resize((32, 32)), i % 2) for i, image in enumerate(IMAGES)]
    arguments = {"layers": ["layer1.0", "output"], "batch_size": 8, "device": "cpu"}
    ours = vitprobe.cka("resnet20", data=Alone(pairs), **arguments)
    theirs = vitprobe.cka("resnet20", data=pairs, order="file", **arguments)
    assert np.array_equal(ours["cka"], theirs["cka"])
    assert (ours.attrs["order"], theirs.attrs["order"]) == ("as given", "file")
    assert (ours.attrs["examples"], ours.attrs["dataset"]) == (20, "Alone")
