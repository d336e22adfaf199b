"""How a pass goes: the count, the rate, the time left, the largest error; where and when it is
said."""

import io
import math
import re
import sys

import pytest
import torch
from gang import gang
from pass_work import Recorded, images, recorded, vit

import vitprobe
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.input_options import InputOptions
from vitprobe.passes import bar as module
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Ahead, Going, spoken
from vitprobe.passes.run import run
from vitprobe.passes.share import Share


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    """stderr(terminal) -> what is written from then on, a StringIO."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")

    def replaced(terminal):
        monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
        return sys.stderr

    return replaced


def went(bar, clock, ahead, steps, each=128, error=0.0123):
    """A run of so many batches, a second each."""
    with bar:
        bar.begin(None, [], ahead)
        for step in range(1, steps + 1):
            clock.now += 1
            bar.advance(ahead.done + step * each, lambda: error)


def plain(text):
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", text)


def test_words(clock):
    going = Going(Ahead(50_000), clock)
    assert going.words() == "0 of 50,000 examples"
    for _ in range(30):
        clock.now += 1
        going.advance(going.done + 430)
    assert going.words() == "12,900 of 50,000 examples, 430/s, 1 min 26 s left"
    going.error = 0.01234
    assert going.words().endswith("left, largest s.e. 0.012")
    clock.now += 20  # a long batch: time goes on
    assert "1 min 6 s left" in going.words()


def test_the_rate_is_of_what_this_run_does(clock):
    going = Going(Ahead(50_000, done=20_000), clock)
    clock.now += 10
    going.advance(20_100)
    assert going.words() == "20,100 of 50,000 examples, 10/s, 50 min left"


def test_the_rate_is_of_the_last_half_minute(clock):
    going = Going(Ahead(None), clock)
    clock.now += 60  # the first batch tunes kernels
    going.advance(10)
    for _ in range(40):
        clock.now += 1
        going.advance(going.done + 10)
    assert going.rate == pytest.approx(10)


def test_no_total_no_time_left(clock):
    going = Going(Ahead(None), clock)
    clock.now += 2
    going.advance(9)
    assert going.words() == "9 examples, 4.5/s"


def test_never_above_the_total(clock):
    going = Going(Ahead(10), clock)
    clock.now += 1
    going.advance(12)
    assert going.words() == "10 of 10 examples, 10/s"


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (87, "1 min 27 s"),
        (120, "2 min"),
        (754, "13 min"),
        (3599, "1 h"),
        (4800, "1 h 20 min"),
        (86_400 + 3 * 3600, "1 d 3 h"),
    ],
)
def test_spoken(seconds, words):
    assert spoken(seconds) == words


def test_lines_where_there_is_no_terminal(clock, stderr):
    written = stderr(terminal=False)
    went(Bar(clock), clock, Ahead(12_800), 35)
    lines = written.getvalue().splitlines()
    assert lines == [
        f"vitprobe: {done:,} of 12,800 examples, 128/s, {left} left, largest s.e. 0.012"
        for done, left in [(1280, "1 min 30 s"), (2560, "1 min 20 s"), (3840, "1 min 10 s")]
    ]


def test_no_line_of_a_short_run(clock, stderr):
    written = stderr(terminal=False)
    went(Bar(clock), clock, Ahead(1000), 9)
    assert written.getvalue() == ""


def test_a_line_whose_reader_has_gone_ends_nothing(clock, stderr, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Full())
    went(Bar(clock), clock, Ahead(12_800), 25)


def test_a_bar_at_a_terminal(clock, stderr):
    written = stderr(terminal=True)
    went(Bar(clock), clock, Ahead(1000, done=200), 6, each=100)
    text = written.getvalue()
    assert "\x1b[" in text and "━" in text and "vitprobe:" not in text
    assert "800 of 1,000 examples, 100/s, 2 s left, largest s.e. 0.012" in plain(text)


@pytest.mark.parametrize("columns", ["60", "30"])
def test_a_bar_is_one_line(clock, stderr, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    written = stderr(terminal=True)
    went(Bar(clock), clock, Ahead(1_000_000), 20)
    drawn = re.split(r"\x1b\[2K|\r|\n", written.getvalue())
    assert max(len(plain(each)) for each in drawn) <= int(columns)


def test_no_color(clock, stderr, monkeypatch):
    colours = r"\x1b\[[\d;]*3[0-9][\d;]*m|\x1b\[9[0-7]m"
    written = stderr(terminal=True)
    went(Bar(clock), clock, Ahead(1000), 6)
    assert re.search(colours, written.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    written = stderr(terminal=True)
    went(Bar(clock), clock, Ahead(1000), 6)
    assert "━" in written.getvalue() and not re.search(colours, written.getvalue())


@pytest.mark.parametrize("name, value", [("TERM", "dumb"), ("FORCE_COLOR", "1")])
def test_what_is_no_terminal_is_not_drawn_on(clock, stderr, monkeypatch, name, value):
    written = stderr(terminal=name == "TERM")
    monkeypatch.setenv(name, value)
    went(Bar(clock), clock, Ahead(12_800), 12)
    assert written.getvalue() == (
        "vitprobe: 1,280 of 12,800 examples, 128/s, 1 min 30 s left, largest s.e. 0.012\n"
    )


def test_a_look_at_the_errors_takes_little_of_the_time(clock, stderr):
    stderr(terminal=False)
    looks = []

    def slow():
        clock.now += 1
        looks.append(clock.now)
        return 0.1

    bar = Bar(clock)
    with bar:
        bar.begin(None, [], Ahead(None))
        for batch in range(1000):
            clock.now += 1
            bar.advance(batch, slow)
            bar.advance(batch)  # the sums of all are not at hand
    assert [b - a for a, b in zip(looks, looks[1:], strict=False)] == [module.LOOK_SHARE + 1] * (
        len(looks) - 1
    )
    assert len(looks) == 5


def test_one_process_tells_what_it_does():
    ahead, done, errors = recorded(21)
    assert ahead == Ahead(21, 0, 6) and done == [4, 8, 12, 16, 20, 21]
    assert math.isnan(errors[0]) and errors[-1] > 0


def test_the_error_told_is_that_of_the_result():
    told = Recorded()
    inputs = prepare([vit()], images(20), InputOptions(batch_size=4))
    ((result,),) = run(inputs, [CKAReader("blocks")], told)
    assert told.errors[-1] == result["cka_se"].max().item()


def test_several_passes_and_shares():
    data = torch.utils.data.DataLoader(
        [(x, 0) for x in images(21)], 4, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    for share, examples, batches in [(None, 42, 12), ("1/5", 9, 3), ("2/5", 9, 3), ("3/5", 8, 2)]:
        told = Recorded()
        inputs = prepare([vit()], data, passes=2)
        keeper = Keeper(share=share and Share.read(share))
        run(inputs, [CKAReader("blocks")], told, keeper)
        assert (told.ahead, told.done[-1]) == (Ahead(examples, 0, batches), examples), share


def test_what_goes_on_begins_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "x.partial"

    class Enough(Exception):
        pass

    class Stopping(Recorded):
        def advance(self, done, error=None):
            if done == 12:
                raise Enough

    inputs = prepare([vit()], images(21), InputOptions(batch_size=4))
    with pytest.raises(Enough):
        run(inputs, [CKAReader("blocks")], Stopping(), Keeper(path, every=1e-6))
    ahead, done, _ = recorded(21, path)
    assert ahead == Ahead(21, 8, 4) and done == [12, 16, 20, 21]


def test_a_stream_of_unknown_length(stderr, clock):
    told = Recorded()
    inputs = prepare([vit()], iter(images(9)), InputOptions(batch_size=4))
    run(inputs, [CKAReader("blocks")], told)
    assert told.ahead == Ahead(None) and told.done == [4, 8, 9]


def test_processes_tell_together_through_the_first():
    (code, (ahead, done, errors)), second = gang(2, recorded, 21)
    assert (code, second) == (0, (0, (None, [], [])))
    assert ahead == Ahead(21, 0, 3) and done[-1] == 21
    ((_, (_, _, alone)),) = gang(1, recorded, 21)  # with as many threads: the same float32
    assert errors and errors[-1] == pytest.approx(alone[-1], rel=1e-9)


def test_python_shows_it_too(clock, stderr, monkeypatch):
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    written = stderr(terminal=False)
    vitprobe.cka(vit(), data=images(12), layers="blocks", batch_size=4)
    assert written.getvalue() == ""
    vitprobe.cka(vit(), data=images(12), layers="blocks", batch_size=4, progress=True)
    lines = written.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"vitprobe: {done} of 12 examples" for done in (4, 8, 12)
    ]
