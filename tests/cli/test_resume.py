"""Commands go on from where they stopped, one at a time; shares of a run, and enough is enough."""

import os
import signal

import pytest
import xarray as xr
from children import dead_process

from vitprobe.lock import Lock
from vitprobe.owner import Owner
from vitprobe.passes.partial import read_partial

VIT = "vit(depth=2,dim=24,heads=3,mlp_dim=32)"
RESNET = "resnet20@random"
SMALL = ["--examples", 48, "--batch-size", 8, "--device", "cpu", "--name", "x"]
CKA = ["cka", "--models", RESNET, "--layers", "blocks", *SMALL]
COMMANDS = {
    "cka": CKA,
    "attention": ["attention", "--models", f"{VIT}", *SMALL],
    "head-subsets": ["head-subsets", "--models", f"{VIT},{RESNET}", *SMALL],
    "finetuning": ["finetuning", "--models", f"{VIT},{VIT[:-1]},dropout=0.0)", *SMALL],
}
OFTEN = ["--save-every", 1e-6]
SAVE = "vitprobe.passes.partial.write_file"
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


@pytest.fixture(scope="module")
def whole(vitprobe_run, tmp_path_factory):
    """whole(words) -> the folder of an uninterrupted run's results, run once."""
    known = {}

    def of(words):
        if (key := tuple(words)) not in known:
            folder = tmp_path_factory.mktemp("whole")
            run = vitprobe_run(*words, cwd=folder)
            assert run.code == 0, run.err
            known[key] = folder / "results"
        return known[key]

    return of


def names(folder):
    """Of all files in `results`, hidden ones too."""
    where = folder / "results"
    return sorted(path.name for path in where.iterdir()) if where.exists() else []


def assert_same(one, other):
    """Two folders hold the same results, bit for bit, but for the seconds and what was typed."""
    assert sorted(path.name for path in one.iterdir()) == sorted(p.name for p in other.iterdir())
    for path in one.glob("*.nc"):
        with xr.open_dataset(path) as first, xr.open_dataset(other / path.name) as second:
            assert first.drop_attrs(deep=False).identical(second.drop_attrs(deep=False))
            for key, value in first.attrs.items():
                own = key.startswith("seconds_") or key == "command"
                assert own or second.attrs[key] == value, key
    for path in one.glob("*.csv"):
        assert path.read_bytes() == (other / path.name).read_bytes()


def refused(run):
    """The line with which it ended, as its last; no traceback."""
    assert run.code == 2 and "Traceback" not in run.err, run
    lines = [line for line in run.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, run.err
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_and_gone_on_with(vitprobe_run, whole, tmp_path, command):
    words = COMMANDS[command]
    for save in 1, 3:
        how = {"cwd": tmp_path, "stop_at": (SAVE, save)}
        run = vitprobe_run(*words, *OFTEN, "--resume", **how)
        assert run.code == -signal.SIGKILL
    assert "x.partial" in names(tmp_path)
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0, run.err
    assert "resumed  results/x.partial: 4 of 6 batches are done" in run.out
    assert "note: the run results/x was left by process" in run.err
    assert_same(whole(words), tmp_path / "results")


@pytest.mark.parametrize("number", SIGNALS)
def test_stopped(vitprobe_run, whole, tmp_path, number):
    run = vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, stop_at=(SAVE, 2), signal=number)
    assert run.code == 128 + number
    line = f"vitprobe: {SIGNALS[number]}; --resume goes on from results/x.partial"
    assert run.err.splitlines()[-1] == line
    assert names(tmp_path) == ["x.partial"]
    done = len(read_partial(tmp_path / "results" / "x.partial").done)
    assert 3 <= done < 6
    run = vitprobe_run(*CKA, "--resume", cwd=tmp_path)
    assert run.code == 0 and f"{done} of 6 batches are done" in run.out
    assert_same(whole(CKA), tmp_path / "results")


def test_stopped_while_figures_are_made(vitprobe_run, tmp_path):
    how = {"stop_at": ("vitprobe.cli._cka_summary.plot", 0), "signal": signal.SIGTERM}
    run = vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, **how)
    assert run.code == 143
    line = "vitprobe: terminated; --resume goes on from results/x.partial"
    assert run.err.splitlines()[-1] == line
    assert len(read_partial(tmp_path / "results" / "x.partial").done) == 6  # up to the last batch


def test_a_finished_run_is_left_as_it_is(vitprobe_run, tmp_path):
    assert vitprobe_run(*CKA, cwd=tmp_path).code == 0

    def files():
        found = (tmp_path / "results").iterdir()
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = files()
    run = vitprobe_run(*CKA, "--resume", cwd=tmp_path, stop_at=("vitprobe.passes.run.run", 0))
    assert run.code == 0 and run.out == (
        "finished the results of this run are there: results/x.nc\n"
    )
    assert files() == before
    run = vitprobe_run(*CKA, cwd=tmp_path)  # without the word it is done once more
    assert run.code == 0 and "wrote" in run.out
    other = [*CKA, "--resume", "--estimator", "biased"]
    assert "x.nc holds another run" in refused(vitprobe_run(*other, cwd=tmp_path))


def test_nothing_to_go_on_from(vitprobe_run, whole, tmp_path):
    run = vitprobe_run(*CKA, "--resume", cwd=tmp_path)
    assert run.code == 0
    assert "note: there is no results/x.partial to go on from: this run starts" in run.err
    assert_same(whole(CKA), tmp_path / "results")


def test_started_afresh(vitprobe_run, whole, tmp_path):
    assert vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, stop_at=(SAVE, 2)).code == -signal.SIGKILL
    run = vitprobe_run(*CKA, cwd=tmp_path)
    assert run.code == 0 and "resumed" not in run.out
    note = "2 of 6 batches are done in results/x.partial, which --resume would go on from"
    assert f"note: {note}: this run starts afresh" in run.err
    assert_same(whole(CKA), tmp_path / "results")


def test_another_runs_partial_keeps_its_place(vitprobe_run, whole, tmp_path):
    assert vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, stop_at=(SAVE, 2)).code == -signal.SIGKILL
    path = tmp_path / "results" / "x.partial"
    held = path.read_bytes()
    other = [*CKA, "--estimator", "biased", *OFTEN]
    line = refused(vitprobe_run(*other, "--resume", cwd=tmp_path))
    assert "results/x.partial is of another run (estimator unbiased, now biased)" in line
    run = vitprobe_run(*other, cwd=tmp_path, stop_at=(SAVE, 3))
    assert run.code == -signal.SIGKILL and "now biased): this one's is results/x-" in run.err
    assert path.read_bytes() == held
    run = vitprobe_run(*other, "--resume", cwd=tmp_path)  # each goes on from its own
    assert run.code == 0 and "3 of 6 batches are done" in run.out
    assert path.read_bytes() == held
    run = vitprobe_run(*[*CKA, "--overwrite"], "--resume", cwd=tmp_path)
    assert run.code == 0 and "2 of 6 batches are done" in run.out
    assert_same(whole(CKA), tmp_path / "results")


def test_a_partial_that_is_cut_short(vitprobe_run, tmp_path):
    assert vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, stop_at=(SAVE, 2)).code == -signal.SIGKILL
    path = tmp_path / "results" / "x.partial"
    path.write_bytes(held := path.read_bytes()[:-1])
    line = refused(vitprobe_run(*CKA, "--resume", cwd=tmp_path))
    assert "cannot read results/x.partial: it is cut short" in line
    run = vitprobe_run(*CKA, cwd=tmp_path)
    assert run.code == 0 and path.read_bytes() == held


def test_a_full_disk(vitprobe_run, whole, tmp_path):
    run = vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, file_limit=("start", 2000))
    assert run.code == 1 and names(tmp_path) == []
    line = "vitprobe: cannot write results/x.partial: File too large; nothing was saved yet"
    assert run.err.splitlines()[-1] == line
    assert vitprobe_run(*CKA, *OFTEN, cwd=tmp_path, stop_at=(SAVE, 2)).code == -signal.SIGKILL
    words = [*CKA, *OFTEN, "--resume"]
    run = vitprobe_run(*words, cwd=tmp_path, file_limit=("start", 2000))
    assert run.code == 1 and names(tmp_path) == ["x.partial"]
    why = "cannot write results/x.partial: File too large"
    line = f"vitprobe: {why}; --resume goes on from results/x.partial"
    assert run.err.splitlines()[-1] == line
    run = vitprobe_run(*words, cwd=tmp_path)
    assert run.code == 0 and "2 of 6 batches are done" in run.out
    assert_same(whole(CKA), tmp_path / "results")


@pytest.mark.parametrize("shard", [[], ["--shard", "2/3"]])
def test_one_at_a_time(vitprobe_run, tmp_path, shard):
    name = "x.shard-2-of-3" if shard else "x"
    (tmp_path / "results").mkdir()
    with Lock(tmp_path / "results" / f".{name}.lock", "", ""):
        line = refused(vitprobe_run(*CKA, *shard, cwd=tmp_path))
        assert f"the run results/{name} is in use by process {os.getpid()}: wait for it" in line
        assert "give another --name or --output" in line
        others = [*CKA, "--shard", "1/3"] if shard else [*CKA[:-1], "y"]
        assert vitprobe_run(*others, cwd=tmp_path).code == 0
    assert vitprobe_run(*CKA, *shard, cwd=tmp_path).code == 0
    assert not [each for each in names(tmp_path) if each.startswith(".")]
    lock = tmp_path / "results" / f".{name}.lock"
    lock.write_text(Owner(dead_process(), "1", Owner.own().space, "elsewhere").word)
    line = refused(vitprobe_run(*CKA, *shard, cwd=tmp_path))
    assert "on elsewhere, which cannot be seen from here: if it has ended, remove" in line


def test_shares_and_their_merge(vitprobe_run, whole, tmp_path):
    partials = [f"results/x.shard-{k}-of-7.partial" for k in range(1, 8)]
    for k, partial in enumerate(partials, 1):
        run = vitprobe_run(*CKA, "--shard", f"{k}/7", cwd=tmp_path)
        assert run.code == 0, run.err
        assert f"share    {k}/7 is in {partial}" in run.out
        assert "vitprobe merge results/x.shard-*-of-7.partial" in run.out
    assert names(tmp_path) == sorted(partial.removeprefix("results/") for partial in partials)
    run = vitprobe_run(*CKA, "--shard", "3/7", "--resume", cwd=tmp_path)
    assert (run.code, run.out) == (0, f"finished share 3/7 of this run is in {partials[2]}\n")
    run = vitprobe_run("merge", *partials, "--name", "x", cwd=tmp_path)
    assert run.code == 0, run.err
    paths = (tmp_path / "results" / "x.nc", whole(CKA) / "x.nc")
    with xr.open_dataset(paths[0]) as merged, xr.open_dataset(paths[1]) as once:
        xr.testing.assert_allclose(merged, once, rtol=1e-12, atol=1e-15)
        assert merged.attrs["run"] == once.attrs["run"]


@pytest.mark.parametrize(
    "words, why",
    [
        (["--shard", "4/3"], "--shard takes one such as 3/8, not '4/3'"),
        (["--shard", "1/3", "--tolerance", "0.1"], "--tolerance looks at a whole run"),
        (["--tolerance", "0"], "--tolerance takes a number above 0, not 0"),
        (["--tolerance", "0.1", "--passes", "2"], "--tolerance ends a run before its last"),
        (["--save-every", "0"], "--save-every takes seconds above 0, not 0"),
    ],
)
def test_what_does_not_go(vitprobe_command, tmp_path, words, why):
    run = vitprobe_command(*CKA, *words)
    assert why in refused(run)
    assert names(tmp_path) == []


def test_tolerance(vitprobe_run, whole, tmp_path):
    small = [*CKA, "--batch-size", 4]
    rough = [*small, *OFTEN, "--tolerance", "0.5"]
    run = vitprobe_run(*rough, cwd=tmp_path)
    assert run.code == 0 and "every standard error is below 0.5" in run.err
    with xr.open_dataset(tmp_path / "results" / "x.nc") as result:
        assert result.attrs["examples"] < 48 and result["cka_se"].max() < 0.5
        examples = result.attrs["examples"]
    assert f"{examples} examples were enough" in run.err
    never = {"stop_at": ("vitprobe.passes.run.run", 0)}
    assert "finished" in vitprobe_run(*rough, "--resume", cwd=tmp_path, **never).out
    run = vitprobe_run(*small, "--resume", cwd=tmp_path)  # asks for more than is there
    assert run.code == 0 and "finished" not in run.out
    assert_same(whole(small), tmp_path / "results")
    assert "finished" in vitprobe_run(*rough, "--resume", cwd=tmp_path, **never).out
