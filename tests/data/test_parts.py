"""`PairedLoader.numbered`: a part of the batches is the very batches of the whole."""

import threading
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torch.utils.data.distributed import DistributedSampler
from untrusted_data import png

from vitprobe.data import CorruptImage, PairedLoader, Transform, load_data, shard_stream, web_shards
from vitprobe.data.decode import EncodedImage
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.passes.share import Share

N, SIZE = 45, 8  # 6 batches, the last of 5
X = torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(0))
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 9, 9, 3), dtype=np.uint8)
SHARES = [(0, 1), (0, 2), (1, 2), (2, 3), (4, 7), (6, 7), (9, 50)]


class Images(Dataset):
    """By number; counts what is read."""

    num_classes = 5

    def __init__(self):
        self.reads = Counter()

    def __len__(self):
        return N

    def __getitem__(self, index):
        self.reads[index] += 1
        return PIXELS[index], index % 5


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(PIXELS[index], index % 5) for index in range(N)])


class Alone:
    def __iter__(self):
        return ((image, 0) for image in PIXELS)


def shuffled():
    generator = torch.Generator().manual_seed(3)
    return DataLoader(TensorDataset(X, torch.arange(N)), SIZE, True, generator=generator)


def infinite():
    while True:
        yield PIXELS[0], 0


KINDS = {
    "map": lambda: Images(),
    "array": lambda: PIXELS,
    "stream": lambda: Stream(),
    "iterable": lambda: Alone(),
    "tensor": lambda: X,
    "loader": lambda: DataLoader(TensorDataset(X, torch.arange(N)), SIZE),
    "loader of a stream": lambda: DataLoader(TensorStream(), SIZE),
    "loader with a seed": shuffled,
}


class TensorStream(IterableDataset):
    def __iter__(self):
        return ((x, index) for index, x in enumerate(X))


def loader_of(data, **options):
    given = {} if isinstance(data, DataLoader) else {"batch_size": SIZE}
    return PairedLoader(data, [Transform(8), Transform(6)], **given | options)


def same(one, other):
    assert torch.equal(one.index, other.index)
    assert len(one.images) == len(other.images) == 2
    assert all(torch.equal(x, y) for x, y in zip(one.images, other.images, strict=True))
    assert (one.labels is None) == (other.labels is None)
    assert one.labels is None or torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize(
    ("kind", "workers"), [*((kind, 0) for kind in KINDS), ("map", 2), ("array", 1), ("stream", 2)]
)
def test_every_share_is_of_the_whole(kind, workers, passes):
    options = {"passes": passes, "examples": 43, "workers": workers}
    whole = list(loader_of(KINDS[kind](), **options).numbered())
    assert [number for number, _ in whole] == list(range(6 * passes))
    assert sum(len(batch.index) for _, batch in whole) == 43 * passes
    processes = workers and kind != "stream"  # which take a while to start
    for index, count in SHARES[5:] if processes else SHARES:
        loader = loader_of(KINDS[kind](), **options)
        for again in range(2):  # the same loader, too: it was read before, to look at the models
            part = list(loader.numbered(Share(index, count).wants))
            assert [number for number, _ in part] == list(range(index, 6 * passes, count)), again
            for number, batch in part:
                same(batch, whole[number][1])
            assert loader.total == 6 * passes, "known when it was gone through"


def test_the_total_is_known_before_where_it_can_be():
    for kind in ("map", "array", "tensor", "loader", "loader with a seed"):
        assert loader_of(KINDS[kind](), passes=3).total == 18, kind
    for kind in ("stream", "iterable", "loader of a stream"):
        loader = loader_of(KINDS[kind](), passes=2)
        assert loader.total is None
        next(loader.numbered())
        assert loader.total is None, "not gone through yet"
        assert not list(loader.numbered(lambda number: False))
        assert loader.total == 12, kind
    with pytest.warns(VitprobeWarning, match="asked for 60 examples, Stream has 45"):
        loader = loader_of(Stream(), examples=60)
        list(loader.numbered(lambda number: number == 1))
    assert (loader.batches_per_pass, loader.total) == (8, 6), "planned, and what there was"


def test_only_images_of_the_share_are_read():
    data = Images()
    part = list(loader_of(data, seed=4).numbered(lambda number: number % 3 == 1))
    wanted = torch.cat([batch.index for _, batch in part]).tolist()
    assert len(wanted) == 16 and data.reads == Counter(wanted)
    data = Images()
    for index in range(3):
        list(loader_of(data, passes=2).numbered(Share(index, 3).wants))
    assert set(data.reads.values()) == {2}, "of all shares together each once in a pass"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_decodes_only_those_of_the_share(workers, monkeypatch):
    decoded, lock = Counter(), threading.Lock()

    def counted(self):
        with lock:
            decoded[self.path] += 1
        return Image.fromarray(PIXELS[int(self.path)])

    monkeypatch.setattr(EncodedImage, "decode", counted)
    items = [(EncodedImage(str(index), b"", None), 0) for index in range(N)]

    class Encoded(IterableDataset):
        def __iter__(self):
            return iter(items)

    part = list(loader_of(Encoded(), workers=workers).numbered(lambda t: t in (1, 5)))
    wanted = torch.cat([batch.index for _, batch in part]).tolist()
    assert wanted == [*range(8, 16), *range(40, 45)]
    assert decoded == Counter(map(str, wanted))


def test_no_more_of_a_stream_is_read_than_its_examples():
    part = list(loader_of(infinite(), examples=20).numbered(lambda number: number == 0))
    assert [(number, len(batch.index)) for number, batch in part] == [(0, 8)]


def test_bad_images_of_other_shares_do_no_harm(write_images, truncate):
    """They are not decoded, neither are they listed; a batch of bad ones keeps its number."""
    root = write_images({f"a/{i:02}.png": 16 for i in range(24)})
    for i in (*range(8, 16), 20):
        truncate(root / "a" / f"{i:02}.png")
    data = load_data(f"imagefolder:{root}")
    options = {"order": "file", "workers": 1}
    (found,) = loader_of(data, **options).numbered(lambda number: number == 0)
    assert found[0] == 0 and len(found[1].index) == 8
    with pytest.raises(CorruptImage, match="20.png"):
        list(loader_of(data, **options).numbered(lambda number: number == 2))
    loader = loader_of(data, skip_bad_images=True, **options)
    assert next(loader.numbered(lambda number: number == 1)) == (1, None)
    assert len(loader.skipped) == 8
    numbers = [(number, batch and len(batch.index)) for number, batch in loader.numbered()]
    assert numbers == [(0, 8), (1, None), (2, 7)]
    assert [len(batch.index) for batch in loader] == [8, 7]


@pytest.fixture
def shards(tmp_path):
    pytest.importorskip("webdataset")
    from webdataset import ShardWriter

    with ShardWriter(str(tmp_path / "s-%02d.tar"), maxcount=10, verbose=0) as writer:
        for i in range(N):
            writer.write({"__key__": f"{i:03}", "png": png(i, 12), "cls": i % 3})
    return f"wds:{tmp_path}/s-{{00..04}}.tar"


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        for i in range(N):
            file.writestr(f"{i % 3}/{i:03}.png", png(i, 12))
    return f"zip:{tmp_path / 'images.zip'}"


@pytest.mark.filterwarnings("ignore:the first batch")
@pytest.mark.parametrize("order", ["seeded", "file"])
@pytest.mark.parametrize("kind", ["shards", "archive"])
def test_images_in_archives_are_read_for_their_share_alone(kind, order, request, monkeypatch):
    name = request.getfixturevalue(kind)
    whole = dict(loader_of(name, order=order).numbered())
    data, read = load_data(name), []
    decode = type(data).decode
    monkeypatch.setattr(
        type(data), "decode", lambda self, index: read.append(index) or decode(self, index)
    )
    part = list(loader_of(data, order=order).numbered(lambda number: number % 4 == 1))
    assert [number for number, _ in part] == [1, 5]
    assert read == torch.cat([batch.index for _, batch in part]).tolist() and len(read) == 13
    for number, batch in part:
        same(batch, whole[number])


def test_each_image_in_a_shard_opens_its_file_once(shards, monkeypatch):
    data, opened = load_data(shards), []
    real = web_shards.open_file
    monkeypatch.setattr(
        web_shards, "open_file", lambda path, what: opened.append(path) or real(path, what)
    )
    list(loader_of(data, order="file").numbered(lambda number: number == 0))
    assert [path[-6:] for path in opened] == ["00.tar"] * 8, "the other shards are left alone"


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_that_are_a_stream(shards, workers, monkeypatch):
    """Read as one where they are compressed or far away: every process reads all bytes."""
    monkeypatch.setattr(web_shards, "is_remote", lambda shard: True)
    monkeypatch.setattr(shard_stream, "is_remote", lambda shard: False)
    with pytest.warns(VitprobeWarning, match="read as a stream"):
        whole = dict(loader_of(shards, workers=workers).numbered())
        for index in range(4):
            loader = loader_of(shards, workers=workers)
            part = list(loader.numbered(Share(index, 4).wants))
            assert [number for number, _ in part] == list(range(index, 6, 4))
            for number, batch in part:
                same(batch, whole[number])
            assert loader.total == 6


def test_a_dataloader_that_shuffles_as_it_likes():
    data = TensorDataset(X, torch.arange(N))
    loader = loader_of(DataLoader(data, SIZE, shuffle=True))
    assert len(list(loader.numbered())) == 6, "all of it is a run like any other"
    with pytest.raises(InputError, match=r"shuffles, and no two times alike.*manual_seed\(0\)"):
        list(loader.numbered(lambda number: number % 2 == 0))
    loader = loader_of(DataLoader(data, SIZE, sampler=DistributedSampler(data, 2, 0)))
    with pytest.raises(InputError, match="DistributedSampler leaves most of the examples out"):
        list(loader.numbered(lambda number: number % 2 == 1))


def test_what_is_said_of_the_first_batch_is_said_once():
    """Whoever looks at the first images, and then reads a share, says what the whole run says."""

    class Sorted(Images):
        def __getitem__(self, index):
            return PIXELS[index], index // 9

    loader = loader_of(Sorted(), order="file")
    with pytest.warns(VitprobeWarning, match="the first batch .8 images. shows 1 of 5"):
        next(loader.numbered())
    list(loader.numbered(lambda number: number % 2 == 1))
    assert len(loader.notes) == 1
