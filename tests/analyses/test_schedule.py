"""Grouped and overlapped reduction: the same result as in the hook, in bounded memory."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import vitprobe
from vitprobe.errors import InputError
from vitprobe.passes import held, schedule
from vitprobe.passes.held import Held
from vitprobe.passes.schedule import SameStream
from vitprobe.taps import survey

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


class LateStream(SameStream):
    """A side stream as slow as can be: its work is done when the forward waits for it."""

    beside = True

    def __init__(self, device=None):
        self.queue = []
        self.runs = self.most = 0

    def run(self, work):
        self.queue.append(work)
        self.runs += 1
        self.most = max(self.most, len(self.queue))

    def join(self):
        while self.queue:
            self.queue.pop(0)()


@pytest.fixture
def late_stream(monkeypatch):
    """VITPROBE_SCHEDULE=overlapped, on a CPU, with a LateStream."""
    stream = LateStream()
    monkeypatch.setenv("VITPROBE_SCHEDULE", "overlapped")
    monkeypatch.setattr(
        "vitprobe.analyses.cka_reader.stream_and_limit", lambda device, limit: (stream, limit)
    )
    return stream


@pytest.fixture(scope="module")
def resnet50():
    torch.manual_seed(0)
    return torchvision.models.resnet50(weights=None).eval()


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def inline(resnet50, pictures):
    return vitprobe.cka(resnet50, data=pictures, batch_size=8, layers="modules")


def same(result, expected):
    for name in ("cka", "cka_se", "hsic"):
        np.testing.assert_array_equal(result[name], expected[name])
    assert list(result["layer_a"].values) == list(expected["layer_a"].values)


@pytest.mark.parametrize("limit", [1, 2**20, 2**40])
def test_a_slow_side_stream_reads_no_overwritten_activation(
    late_stream, resnet50, pictures, inline, limit
):
    """In-place resnet50: 49 of its sites are overwritten by the next operation."""
    result = vitprobe.cka(
        resnet50, data=pictures, batch_size=8, layers="modules", defer_bytes=limit
    )
    same(result, inline)
    assert (late_stream.runs > 0) == (limit > 1)


def test_and_would_if_it_were_not_for_the_version_counters(
    late_stream, resnet50, pictures, inline, monkeypatch
):
    monkeypatch.setattr("vitprobe.taps.writes.WriteWatch.written", lambda watch: False)
    result = vitprobe.cka(
        resnet50, data=pictures, batch_size=8, layers="modules", defer_bytes=2**40
    )
    assert abs(result["cka"] - inline["cka"]).max() > 1e-3


@pytest.mark.parametrize("limit", [2**16, 2**40])
def test_grouped_is_inline(monkeypatch, resnet50, pictures, inline, limit):
    monkeypatch.setenv("VITPROBE_SCHEDULE", "grouped")
    result = vitprobe.cka(
        resnet50, data=pictures, batch_size=8, layers="modules", defer_bytes=limit
    )
    same(result, inline)


def test_grouped_with_odd_models(monkeypatch, habits, sequence_first, images):
    expected = vitprobe.cka(habits, sequence_first, images, batch_size=20, layers="modules")
    monkeypatch.setenv("VITPROBE_SCHEDULE", "grouped")
    result = vitprobe.cka(
        habits, sequence_first, images, batch_size=20, layers="modules", defer_bytes=2**40
    )
    same(result, expected)
    rbf = vitprobe.cka(habits, data=images, batch_size=20, kernel="rbf", defer_bytes=2**40)
    monkeypatch.delenv("VITPROBE_SCHEDULE")
    same(rbf, vitprobe.cka(habits, data=images, batch_size=20, kernel="rbf"))


def test_what_is_written_after_all_is_an_error(monkeypatch, images):
    class Turns(nn.Module):
        """Overwrites an activation, but not for the images of the survey."""

        def __init__(self):
            super().__init__()
            self.flat, self.linear = nn.Flatten(), nn.Linear(768, 8)

        def forward(self, x):
            y = self.linear(self.flat(x))
            z = y.sin()
            if len(x) > 4:
                y.zero_()
            return z

    monkeypatch.setenv("VITPROBE_SCHEDULE", "grouped")
    model = Turns()
    with pytest.raises(InputError, match="'linear' was overwritten later .*defer_bytes=0"):
        vitprobe.cka(model, data=images, batch_size=24, defer_bytes=2**40)
    assert not any(module._forward_hooks for module in model.modules())
    vitprobe.cka(model, data=images, batch_size=24, defer_bytes=0)


@pytest.mark.parametrize("beside", [False, True])
def test_held_bytes_are_bounded(beside):
    """Beside the newest activation no more than the limit is alive at any time."""
    limit, alive, largest, reduced = 4000, 0, 0, []

    class Stream(LateStream):
        def run(self, work):
            super().run(work)
            if not beside:
                self.join()

    def reduce(rows, xs):
        nonlocal alive
        reduced.extend(rows)
        alive -= sum(x.untyped_storage().nbytes() for x in xs)

    stream = Stream()
    stream.beside = beside
    gathered = Held(reduce, limit, stream)
    site = survey(nn.Flatten(), torch.randn(4, 1, 2, 2))[0]
    assert not gathered.takes(site, torch.zeros(4, limit // 16 + 1))
    for row in range(40):
        x = torch.zeros(4, 10 + row % 5)
        alive += x.untyped_storage().nbytes()
        largest = max(largest, alive - x.untyped_storage().nbytes())
        assert gathered.takes(site, x)
        gathered.add(site, row, x)
    gathered.finish()
    assert reduced == list(range(40)) and alive == 0
    assert limit / 2 < largest <= limit


def test_an_error_in_the_forward_leaves_nothing_behind(late_stream, images):
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.relu = nn.Flatten(), nn.ReLU()

        def forward(self, x):
            y = self.flat(x)
            if len(x) > 4 and x[0, 0, 0, 0] == images[24, 0, 0, 0]:
                raise ZeroDivisionError("a fault of the model")
            return self.relu(y)

    with pytest.raises(ZeroDivisionError):
        vitprobe.cka(Breaks(), data=images, batch_size=24, defer_bytes=2**40)
    assert late_stream.queue == []


def test_the_schedule_is_chosen_by_name(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.delenv("VITPROBE_SCHEDULE", raising=False)
    assert schedule.chosen_schedule() == schedule.DEFAULT_SCHEDULE
    monkeypatch.setenv("VITPROBE_SCHEDULE", "grouped")
    assert schedule.stream_and_limit(cpu, 77)[1] == 77
    assert schedule.stream_and_limit(cpu, None)[1] == 0
    monkeypatch.setenv("VITPROBE_SCHEDULE", "inline")
    assert schedule.stream_and_limit(cpu, 77)[1] == 0
    monkeypatch.setenv("VITPROBE_SCHEDULE", "sideways")
    with pytest.raises(ValueError, match="VITPROBE_SCHEDULE is inline, grouped, overlapped, not"):
        schedule.chosen_schedule()


def test_a_negative_limit_is_refused(images):
    with pytest.raises(InputError, match="defer_bytes must not be negative"):
        vitprobe.cka(nn.Flatten(), data=images, defer_bytes=-1)


@no_gpu
@pytest.mark.cuda
@pytest.mark.parametrize("name", ["grouped", "overlapped"])
def test_on_a_gpu_with_a_slowed_side_stream(monkeypatch, resnet50, pictures, name):
    """The side stream sleeps before all of its work; the result is that of the hooks."""
    model = resnet50.cuda()
    arguments = {"data": pictures.cuda(), "batch_size": 8, "layers": "modules"}
    try:
        expected = vitprobe.cka(model, **arguments)

        def slowed(stream, work, run=schedule.SideStream.run):
            run(stream, lambda: (torch.cuda._sleep(50_000_000), work()))

        monkeypatch.setattr(schedule.SideStream, "run", slowed)
        monkeypatch.setenv("VITPROBE_SCHEDULE", name)
        for limit in (2**22, None):
            result = vitprobe.cka(model, **arguments, defer_bytes=limit)
            np.testing.assert_allclose(result["cka"], expected["cka"], atol=2e-5)
    finally:
        model.cpu()


@no_gpu
@pytest.mark.cuda
@pytest.mark.parametrize("name", list(schedule.SCHEDULES))
def test_no_batch_waits_for_the_gpu(monkeypatch, resnet50, pictures, name):
    """From the second batch on nothing synchronises: torch would raise."""
    monkeypatch.setenv("VITPROBE_SCHEDULE", name)
    model, counted = resnet50.cuda(), 0
    finish = held.Held.finish

    def watched(self):
        nonlocal counted
        finish(self)
        counted += 1
        torch.cuda.set_sync_debug_mode("error" if 1 <= counted < 4 else "default")

    monkeypatch.setattr(held.Held, "finish", watched)
    try:
        vitprobe.cka(model, data=pictures.repeat(2, 1, 1, 1).cuda(), batch_size=8)
        assert counted == 4
    finally:
        torch.cuda.set_sync_debug_mode("default")
        model.cpu()
