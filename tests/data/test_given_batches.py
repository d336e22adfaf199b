"""PairedLoader over a DataLoader or a tensor: order and batches as they are."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from vitprobe.data import PairedLoader, Transform
from vitprobe.errors import InputError, VitprobeWarning

X = torch.randn(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(50) % 5
MODELS = [Transform(32, (0.5,) * 3, (0.5,) * 3), Transform(224)]


def both(pairs):
    """A list of (x, y) -> {"image", "label"} batches, as Hugging Face's collators give them."""
    x, y = zip(*pairs, strict=True)
    return {"pixel_values": torch.stack(x), "labels": torch.stack(y), "ids": None}


@pytest.mark.parametrize(
    ("loader", "labels"),
    [
        (DataLoader(TensorDataset(X, Y), batch_size=16), True),
        (DataLoader(TensorDataset(X), batch_size=16), False),
        (DataLoader(X, batch_size=16), False),
        (DataLoader(TensorDataset(X, Y), batch_size=16, collate_fn=both), True),
        (DataLoader(TensorDataset(X, Y.float()), batch_size=16), False),
        (DataLoader(TensorDataset(X, torch.eye(50)), batch_size=16), False),
    ],
    ids=["pair", "list", "tensor", "mapping", "float labels", "one-hot labels"],
)
def test_batches_pass_untouched(loader, labels):
    paired = PairedLoader(loader, MODELS, batch_size=7, passes=2)
    batches = list(paired)
    assert [len(batch.index) for batch in batches] == [16, 16, 16, 2] * 2
    assert (paired.examples, paired.batches_per_pass, paired.batch_size) == (50, 4, 16)
    for batch in batches:
        assert batch.images[1] is batch.images[0]
        assert torch.equal(batch.images[0], X[batch.index])
        assert (batch.labels is not None) == labels
        assert not labels or torch.equal(batch.labels, Y[batch.index])


def test_shuffled_loader_keeps_its_order():
    loader = DataLoader(TensorDataset(X, Y), 10, shuffle=True, generator=torch.Generator())
    seen = torch.cat([batch.images[0] for batch in PairedLoader(loader, MODELS)])
    assert not torch.equal(seen, X)
    assert torch.equal(seen.flatten(1).sum(1).sort().values, X.flatten(1).sum(1).sort().values)


def test_examples_cut_the_last_batch():
    paired = PairedLoader(DataLoader(TensorDataset(X, Y), batch_size=16), MODELS, examples=20)
    batches = list(paired)
    assert [len(batch.index) for batch in batches] == [16, 4]
    assert (paired.examples, paired.batches_per_pass) == (20, 2)
    assert torch.equal(batches[1].images[0], X[16:20])
    assert torch.equal(batches[1].labels, Y[16:20])


def test_dropped_last_batch_is_not_counted():
    paired = PairedLoader(DataLoader(X, batch_size=16, drop_last=True), MODELS)
    assert (paired.examples, paired.batches_per_pass) == (48, 3)
    assert sum(len(batch.index) for batch in paired) == 48
    with pytest.raises(InputError, match="asked for 50 examples, but there are 48"):
        PairedLoader(DataLoader(X, batch_size=16, drop_last=True), MODELS, examples=50)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def test_stream_of_unknown_length():
    paired = PairedLoader(DataLoader(Stream(), batch_size=16), MODELS)
    assert (paired.examples, paired.batches_per_pass) == (None, None)
    assert torch.equal(torch.cat([batch.images[0] for batch in paired]), X)
    short = PairedLoader(DataLoader(Stream(), batch_size=16), MODELS, examples=60, passes=2)
    with pytest.warns(VitprobeWarning, match="asked for 60 examples, the DataLoader has 50"):
        list(short)
    assert len(short.notes) == 1
    with pytest.raises(InputError, match="at least 4"):
        PairedLoader(DataLoader(Stream(), batch_size=16), MODELS, examples=2)


def test_tensor_in_its_order():
    paired = PairedLoader(X, MODELS, batch_size=16, examples=40, passes=2, order="seeded")
    batches = list(paired)
    assert (paired.name, paired.num_classes) == ("tensor 50x3x8x8", None)
    assert [len(batch.index) for batch in batches] == [16, 16, 8] * 2
    for batch in batches:
        assert torch.equal(batch.images[0], X[batch.index]) and batch.labels is None
        assert batch.images[0].untyped_storage().data_ptr() == X.untyped_storage().data_ptr()
    assert torch.cat([batch.index for batch in batches]).tolist() == [*range(40)] * 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (torch.zeros(9, 3, 8, 8, dtype=torch.uint8), r"torch.uint8.*x.float\(\) / 255"),
        (torch.zeros(9, 3, 8), r"\(9, 3, 8\): expected \(N, C, H, W\)"),
        (torch.zeros(3, 3, 8, 8), "at least 4 examples, got 3"),
        (DataLoader(torch.zeros(9, 3, 8, 8, dtype=torch.int64), batch_size=4), "torch.int64"),
        (DataLoader(torch.zeros(9, 8, 8), batch_size=4), r"\(4, 8, 8\): expected"),
        (DataLoader(["a", "b", "c", "d"], batch_size=4), "gave str for images"),
    ],
)
def test_batches_that_cannot_be_used(data, words):
    with pytest.raises(InputError, match=words) as error:
        list(PairedLoader(data, MODELS, batch_size=4))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("labels", "warned"), [(Y.sort().values, True), (Y, False)])
def test_class_sorted_loader(labels, warned):
    data = TensorDataset(X, labels)
    data.classes = list("abcde")
    paired = PairedLoader(DataLoader(data, batch_size=20), MODELS)
    assert paired.num_classes == 5
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(paired)
    assert [warning.category for warning in caught] == [VitprobeWarning] * warned
    assert len(paired.notes) == warned
