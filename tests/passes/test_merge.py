"""Partials of one run become its sums, whatever the shares and the order of the files."""

import itertools
import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics import Metric

from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.passes.merge import merged
from vitprobe.passes.partial import read_partial, write_partial
from vitprobe.passes.reader import Reader
from vitprobe.passes.share import Share
from vitprobe.passes.sums import Part, Sums

T = 45  # batches
VALUES = torch.rand(T, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
VALUES *= 10 ** torch.arange(-6.0, 9.0, dtype=torch.float64).repeat(3)[:, None]


class Level(Metric):
    def __init__(self, count):
        super().__init__()
        self.add_state("sums", torch.zeros(count, dtype=torch.float64), "sum")
        self.add_state("first", torch.full((), T), "min")

    def update(self, values, batch):
        self.sums += values
        self.first = self.first.clamp(max=batch)

    def compute(self):
        return self.sums


class LevelReader(Reader):
    analysis = "level"

    @classmethod
    def metrics_of(cls, about):
        return {"level": Level(about["count"])}


def reader_of(name):
    return {"level": LevelReader}[name]


def sums(numbers, *, version=1, total=T, **about):
    about = {"count": 3, "facts": [{"seed": 0}], "notes": [], **about}
    part = Part("level", version, about, LevelReader.metrics_of({"count": 3}))
    found = Sums([part], 1, "cpu", set(numbers), total, seconds={"data": 1.0})
    for number in numbers:
        part.metrics["level"].update(VALUES[number], number)
        part.tally.update(8, True)
    return found


@pytest.fixture
def write(tmp_path):
    """write("a", numbers, share=(2, 8), seed=1) -> path"""

    def written(name, numbers, share=(0, 1), **options):
        path = tmp_path / f"{name}.partial"
        write_partial(path, sums(numbers, **options), Share(*share))
        return path

    return written


def of_shares(write, count, numbers=range(T), **options):
    return [
        write(f"{index + 1}of{count}", [t for t in numbers if t % count == index], (index, count))
        for index in range(count)
    ]


@settings(max_examples=25, deadline=None)
@given(
    owners=st.lists(st.integers(0, 5), min_size=T, max_size=T),
    order=st.permutations(range(6)),
    within=st.randoms(use_true_random=False),
)
def test_any_split_in_any_order(tmp_path_factory, owners, order, within):
    folder = tmp_path_factory.mktemp("split")
    paths = [folder / f"{owner}.partial" for owner in range(6)]
    for owner, path in enumerate(paths):  # some hold nothing
        numbers = [t for t in range(T) if owners[t] == owner]
        within.shuffle(numbers)
        write_partial(path, sums(numbers), Share())
    whole = merged([paths[place] for place in order], reader_of)
    metric, tally = whole.parts[0].metrics["level"], whole.parts[0].tally.compute()
    for value, truth in zip(metric.sums.tolist(), VALUES.T.tolist(), strict=True):
        assert value == pytest.approx(math.fsum(truth), rel=1e-12)
    assert metric.first == 0 and whole.done == set(range(T)) and whole.total == T
    assert tally == {"examples": 8 * T, "batches": T, "dropped": 0}
    assert whole.seconds == {"data": 6.0}
    again = merged(paths, reader_of)
    assert torch.equal(again.parts[0].metrics["level"].sums, metric.sums), "bit for bit"


def test_shares_of_different_numbers_and_stopped_runs(write):
    halves = of_shares(write, 2)
    quarter, three_quarters = [range(1, T, 4), range(3, T, 4)]
    rest = [write("q", quarter, (1, 4)), write("t", three_quarters, (3, 4))]
    for paths in itertools.permutations([halves[0], *rest]):
        assert merged(paths, reader_of).done == set(range(T))
    stopped = [write("a", range(20), total=None), write("b", range(20, T))]
    assert merged(stopped, reader_of).done == set(range(T))
    assert merged([write("one", range(T))], reader_of).done == set(range(T))


def test_more_shares_than_batches(write):
    assert merged(of_shares(write, 60)[::-1], reader_of).done == set(range(T))


def refused(paths, words, **options):
    with pytest.raises(InputError, match=words) as error:
        merged(paths, reader_of, **options)
    assert str(error.value).isprintable()
    return str(error.value)


def test_missing_batches_are_named(write):
    shares = of_shares(write, 8)
    del shares[3]
    line = refused(shares, "^batches 3, 11, 19, 27, 35 and 43 of 45 are missing .share 4/8.: ")
    assert line.endswith("allow_missing=True goes on without them") and "too" in line
    gone = shares.pop()
    refused(shares, "of 45 are missing .shares 4/8 and 8/8.: give")
    assert gone.exists()
    single = [write("x", set(range(T)) - {44}), write("y", [])]
    line = refused(single, "^batch 44 of 45 is missing: let the run of .*x.partial and .*y.partial")
    assert "resume=True" in line


def test_a_share_that_is_not_at_its_end(write):
    shares = of_shares(write, 3)
    shares[1] = write("2of3", [1, 4, 10], (1, 3), total=None)
    line = refused(
        shares, "batches 7, 13, 16, 19, 22 and 7 more of 45 are missing .share 2/3.: let"
    )
    assert "2of3.partial go on with resume=True;" in line and "1of3" not in line


def test_a_total_that_nobody_knows(write):
    paths = [write("a", [0, 2, 4], (0, 2), total=None), write("b", [1, 5], (1, 2), total=None)]
    line = refused(paths, "how many batches are missing is not known, as no partial saw the end")
    assert "they hold 5; before their last one, batch 3 is missing: let the run of" in line
    with pytest.warns(VitprobeWarning, match="not known"):
        whole = merged(paths, reader_of, allow_missing=True)
    assert whole.total is None and "batch 3 is missing" in whole.notes[0]
    refused([write("c", [], total=None)], "they hold 0: let the run of")
    refused([write("d", [0], total=None)], "they hold 1: let the run of")


def test_what_is_missing_is_in_the_notes(write):
    shares = of_shares(write, 8)
    with pytest.warns(VitprobeWarning, match="missing"):
        whole = merged(shares[:7], reader_of, allow_missing=True)
    assert whole.notes == ["batches 7, 15, 23, 31 and 39 of 45 are missing (share 8/8)"]
    assert merged(shares, reader_of, allow_missing=True).notes == []


def test_batches_in_two_files(write):
    a, b = write("a", range(25)), write("b", [*range(24, T), 3])
    refused([a, b], "a.partial and .*b.partial both hold batches 3 and 24: leave one of them out")
    c = write("c", range(2, 5))
    refused([write("d", []), c, a, b], "c.partial and .*a.partial both hold batches 2, 3 and 4")
    refused([a, a.parent / ".." / a.parent.name / a.name], "a.partial is given twice")
    link = a.parent / "link.partial"
    link.symlink_to(a)
    refused([a, link], "link.partial is given twice")


def test_other_runs(write):
    a = write("a", range(9))
    b = write("b", range(9, T), facts=[{"seed": 1}])
    words = r"a.partial and \S*b.partial are of two runs, which cannot be merged \(seed 0 and 1\)"
    refused([a, b], words)
    c = write("c", range(9, T), version=2)
    refused([a, c], "version of level's estimator 1 and 2")
    refused([c], "c.partial holds version 2 of level's estimator, and this is version 1")
    other = sums(range(9, T))
    other.passes = 2
    write_partial(b, other, Share())
    refused([a, b], "passes 1 and 2")
    d = write("d", range(9, T), notes=["said on one machine"])
    assert merged([a, d], reader_of).done == set(range(T)), "notes make no other run"


def test_data_of_another_length(write):
    a, b = write("a", range(0, T, 2), (0, 2)), write("b", range(1, 40, 2), (1, 2), total=40)
    refused([a, b], "a.partial says that the run has 45 batches, .*b.partial says 40: .*other data")
    refused(
        [b, write("c", [44], total=None)], "b.partial says .* 40 batches, .*c.partial holds .* 44"
    )


def test_devices_are_listed_once(write, tmp_path):
    for k, device in enumerate(("cpu", "NVIDIA H200", "cpu")):
        found = sums(range(k, T, 3))
        found.device = device
        write_partial(tmp_path / f"{k}.partial", found, Share(k, 3))
    whole = merged([tmp_path / f"{k}.partial" for k in range(3)], reader_of)
    assert whole.device == "cpu, NVIDIA H200"


def test_skipped_images_and_notes_are_listed_once(tmp_path):
    for k in range(2):
        found = sums(range(k, T, 2))
        found.skipped, found.notes = ["both.png", f"{k}.png"], ["a stream", f"note {k}"]
        write_partial(tmp_path / f"{k}.partial", found, Share(k, 2))
    whole = merged([tmp_path / "1.partial", tmp_path / "0.partial"], reader_of)
    assert whole.skipped == ["both.png", "0.png", "1.png"]
    assert whole.notes == ["a stream", "note 0", "note 1"]


def rewritten(path, change):
    """The file with other words beside its sums, and a digest that fits."""
    from vitprobe.passes.partial import _digest

    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["vitprobe"])
        states = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about, states)
    text = json.dumps(about)
    metadata = {"vitprobe": text, "sha256": _digest(text, states)}
    path.write_bytes(safetensors.torch.save(states, metadata=metadata))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda about, states: about.update(done="0-999999999999"),
        lambda about, states: about.update(done=7),
        lambda about, states: about.update(total=10**15),
        lambda about, states: about.update(total="x"),
        lambda about, states: about.update(share=[3, 2]),
        lambda about, states: about.update(share=[0]),
        lambda about, states: about.update(passes=0),
        lambda about, states: about.update(seconds=[1]),
        lambda about, states: about.update(parts=[{"analysis": "level"}]),
        lambda about, states: about["parts"][0].update(about=[]),
        lambda about, states: about["parts"][0]["about"].pop("count"),
        lambda about, states: about["parts"][0]["about"].update(count=10**12),
        lambda about, states: about["parts"][0]["about"].update(count=4),
        lambda about, states: states.pop("0.level.sums"),
        lambda about, states: states.update(extra=torch.zeros(2)),
        lambda about, states: states.update({"0.level.sums": torch.zeros(3)}),
    ],
)
def test_files_that_nobody_wrote(write, change):
    refused([rewritten(write("a", range(T)), change)], "cannot read .*a.partial: ")


def test_every_byte_counts(write):
    """Whatever byte changes, the file is refused: no number is quietly another."""
    path = write("a", range(T))
    content = path.read_bytes()
    assert read_partial(path).done == set(range(T))
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot read .*a\.partial|of another version"):
            read_partial(path)
    for end in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:end])
        refused([path], "cannot read .*a.partial: it is cut short, or no partial of vitprobe")


def test_no_files(write, tmp_path):
    refused([], "no partials were given: name the .partial files of one run")
    refused([tmp_path / "none.partial"], "no partial .*none.partial: check the path")
    refused([tmp_path / "*.partial"], r"no file is called as .*\*.partial says: check the pattern")
    refused([tmp_path], "is a folder: name a file")
    (tmp_path / "x.png").write_bytes(b"x")
    refused([tmp_path / "x.png"], "x.png: it is cut short, or no partial")
    refused([str(Path(write("a", [0]))) + "\0"], "is no path")
