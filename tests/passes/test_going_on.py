"""A pass that is stopped, or cannot save: what is kept, what is said, and models as they were."""

import os
import signal

import pytest
import torch
from pass_work import images, vit
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler, TensorDataset

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.errors import InputError, SaveFailed, Stopped, VitprobeWarning
from vitprobe.input_options import SAVE_EVERY
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial, write_partial
from vitprobe.passes.share import Share

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


def kill(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


class Amid(CKAReader):
    """Calls `end()` in the middle of its n-th batch."""

    def __init__(self, n, end):
        super().__init__()
        self.left, self.end = n, end

    def finish(self):
        self.left -= 1
        if self.left == 0:
            self.end()
        super().finish()


def same_numbers(one, other):
    assert one.drop_attrs(deep=False).identical(other.drop_attrs(deep=False))


@pytest.fixture
def whole(go):
    """The Dataset of a run that was let be."""
    return go(keeper=Keeper())[0]


@pytest.fixture
def handlers():
    """Those of the signals are as they were, afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.fixture
def model():
    """A ViT that is to be as it was, afterwards: no hooks, flags and weights as they were."""
    found = vit().train()
    found.blocks[0].eval()
    found.head.requires_grad_(False)
    state = [
        [module.training for module in found.modules()],
        [weight.requires_grad for weight in found.parameters()],
        [block.attn.fused_attn for block in found.blocks],
    ]
    weights = {name: value.clone() for name, value in found.state_dict().items()}
    yield found
    assert state == [
        [module.training for module in found.modules()],
        [weight.requires_grad for weight in found.parameters()],
        [block.attn.fused_attn for block in found.blocks],
    ]
    assert all(torch.equal(weights[name], value) for name, value in found.state_dict().items())
    for module in found.modules():
        hooks = {name: value for name, value in vars(module).items() if name.endswith("hooks")}
        assert not any(hooks.values()), hooks


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("amid", [True, False], ids=["amid a batch", "between two"])
def test_a_signal_saves(go, path, stop_after, whole, model, handlers, amid, number):
    kind = KeyboardInterrupt if number == signal.SIGINT else Stopped
    keeper = Keeper(path, every=1000)  # nothing but the signal saves
    with pytest.raises(kind) as stop:
        if amid:
            go(model, reader=Amid(3, lambda: kill(number)), keeper=keeper)
        else:
            go(model, told=stop_after(3, lambda: kill(number)), keeper=keeper)
    if kind is Stopped:
        assert stop.value.left == f"resume=True goes on from {path}"
    assert read_partial(path).done == {0, 1, 2}
    same_numbers(go(model)[0], whole)


def test_a_second_signal_does_not_wait(go, path, whole, model, handlers):
    """The batch is left in its middle: what is saved is what was saved before it."""
    with pytest.raises(Stopped) as stop:
        go(model, reader=Amid(3, lambda: kill(signal.SIGTERM, signal.SIGTERM)))
    assert stop.value.left == f"resume=True goes on from {path}"
    assert read_partial(path).done == {0, 1}
    same_numbers(go(model)[0], whole)


def test_stopped_before_the_first_batch(go, path, model, handlers):
    with pytest.raises(Stopped) as stop:
        go(model, reader=Amid(1, lambda: kill(signal.SIGTERM, signal.SIGTERM)))
    assert stop.value.left == "" and not path.exists()


def test_without_a_file_signals_are_left_alone(go, handlers):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        go(reader=Amid(1, lambda: (kill(signal.SIGTERM), seen.append(2))), keeper=Keeper())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1, 2]  # at once, amid the batch


def full_from(monkeypatch, write):
    """From that save on (1: the first) the disk takes nothing."""
    sync, saves = os.fsync, [0]

    def fsync(file):
        saves[0] += 1
        if saves[0] >= write:
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("write, left", [(1, "nothing was saved yet"), (4, "resume=True goes on")])
def test_a_full_disk(go, path, whole, model, monkeypatch, write, left):
    with monkeypatch.context() as patch:
        full_from(patch, write)
        with pytest.raises(SaveFailed) as error:
            go(model)
    line = str(error.value)
    assert line.startswith(f"cannot write {path}: No space left on device; {left}")
    assert [each.name for each in path.parent.iterdir()] == [path.name] * (write > 1)
    if write > 1:
        assert read_partial(path).done == {0, 1, 2}
    same_numbers(go(model)[0], whole)


def test_a_disk_that_is_full_at_the_end_costs_no_results(go, path, whole, monkeypatch):
    full_from(monkeypatch, 1)
    with pytest.warns(VitprobeWarning, match=f"cannot write {path}: No space left on device"):
        same_numbers(go(keeper=Keeper(path))[0], whole)
    with pytest.raises(SaveFailed):  # a share is nothing without its file
        go(keeper=Keeper(path, Share(0, 2)))


def test_stopped_on_a_full_disk(go, path, stop_after, monkeypatch, handlers):
    full_from(monkeypatch, 3)
    with pytest.raises(Stopped) as stop:
        go(told=stop_after(3, lambda: kill(signal.SIGTERM)))
    why = f"cannot write {path}: No space left on device; resume=True goes on from {path}"
    assert stop.value.left == why
    assert read_partial(path).done == {0, 1}


def test_a_folder_that_became_a_file(go, tmp_path, stop_after):
    path = tmp_path / "folder" / "x.partial"

    def spoil():
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("")

    with pytest.raises(SaveFailed, match=f"cannot write {path}: "):
        go(keeper=Keeper(path, every=1e-9), told=stop_after(2, spoil))


def test_an_error_leaves_the_last_save(go, path, whole, model):
    def fail():
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        go(model, reader=Amid(4, fail))
    assert read_partial(path).done == {0, 1, 2}
    same_numbers(go(model)[0], whole)


def test_saved_every_so_often(go, path, monkeypatch):
    seen = []
    name = "vitprobe.passes.keeper.write_partial"
    monkeypatch.setattr(name, lambda *how: (seen.append(1), write_partial(*how)))
    assert Keeper().every == SAVE_EVERY == 60
    go(keeper=Keeper(path))
    assert len(seen) == 1  # at the end: it did not take as long
    go(keeper=Keeper(path, every=1e-9))
    assert len(seen) == 1 + 10 + 1
    for seconds in (0, -1, float("nan")):
        with pytest.raises(InputError, match="save_every takes seconds above 0"):
            Keeper(every=seconds)


def test_a_finished_run_goes_on_with_nothing(go, path, whole, model):
    go()
    same_numbers(go(model)[0], whole)


def test_shares_leave_partials(go, tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(12)]
    for k, each in enumerate(paths):
        assert go(keeper=Keeper(each, Share(k, 12))) == []
        saved = read_partial(each)
        assert saved.complete and saved.done == ({k} if k < 10 else set())  # of ten batches
    with pytest.raises(InputError, match=f"{paths[1]} holds share 2/12, now 3/12"):
        go(keeper=Keeper(paths[1], Share(2, 12), resume=True))
    assert go(keeper=Keeper(paths[0], Share(), resume=False)) == []  # 1/1 is a share, too
    assert read_partial(paths[0]).done == set(range(10))


def test_a_share_is_stopped_and_goes_on(go, path, stop_after, handlers):
    with pytest.raises(Stopped):
        keeper = Keeper(path, Share(1, 3), every=1000)
        go(keeper=keeper, told=stop_after(2, lambda: kill(signal.SIGTERM)))
    saved = read_partial(path)
    assert saved.done == {1, 4} and not saved.complete
    assert go(keeper=Keeper(path, Share(1, 3), resume=True)) == []
    saved = read_partial(path)
    assert saved.done == {1, 4, 7} and saved.complete


class Own(Sampler):
    """Of an order that nobody can tell."""

    def __len__(self):
        return 40

    def __iter__(self):
        return iter(range(40))


class OwnBatches(BatchSampler):
    """The same, of batches."""


def loader(**how):
    return DataLoader(TensorDataset(images(40)), **how)


@pytest.mark.parametrize(
    "how, why",
    [
        ({"batch_size": 4, "shuffle": True}, "shuffles, and no two times alike"),
        ({"batch_size": 4, "sampler": Own()}, "whether the DataLoader's Own gives the same order"),
        (
            {"batch_sampler": OwnBatches(SequentialSampler(range(40)), 4, False)},
            "whether the DataLoader's OwnBatches gives the same order",
        ),
    ],
)
def test_batches_that_are_others_each_time(go, path, how, why):
    for keeper in (Keeper(path, resume=True), Keeper(path, Share(0, 2))):
        with pytest.raises(InputError, match=why):
            go(data=loader(**how), batch_size=None, keeper=keeper)
    go(data=loader(**how), batch_size=None, keeper=Keeper(path))  # a run as any other


@pytest.mark.parametrize("keeper", [Keeper(share=Share(0, 2)), Keeper(share=Share(1, 2))])
def test_data_that_can_be_read_once(go, keeper):
    with pytest.raises(InputError, match="can be read once only"):
        go(data=(image for image in images(40)), keeper=keeper)


def test_tolerance(go, path):
    (rough,) = go(tolerance=0.9, keeper=Keeper(path, every=1e-9))
    count = rough.attrs["examples"]
    assert 8 <= count < 40 and rough.attrs["tolerance"] == 0.9
    assert f"{count} examples were enough: every standard error is below 0.9" in rough.notes
    assert rough["cka_se"].max() < 0.9
    (fine,) = go(tolerance=1e-6)  # goes on, and never gets there
    assert fine.attrs["examples"] == 40 and "tolerance" not in fine.attrs
    (whole,) = go(keeper=Keeper())
    same_numbers(fine, whole)


def test_where_a_tolerance_makes_no_sense(go, path):
    for tolerance in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="tolerance takes a number above 0"):
            go(tolerance=tolerance)
    with pytest.raises(InputError, match="tolerance looks at a whole run"):
        go(tolerance=0.1, keeper=Keeper(path, Share(0, 2)))
