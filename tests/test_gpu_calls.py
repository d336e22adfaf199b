"""The calls of `bench/gpu.py`: each fits its minutes, adds to one file, and loses no result."""

import json
import sys
from types import SimpleNamespace

import gpu
import pytest
from on_gpu import checks, streamed
from on_gpu.processes import python, run


@pytest.mark.parametrize("call", gpu.CALLS)
def test_a_call_fits_its_minutes_and_a_machine_lent_for_ten(call):
    steps = call.split(",")
    assert gpu.longest(steps) <= 60 * gpu.MINUTES - gpu.GRACE < 600 - gpu.GRACE
    assert f"python bench/gpu.py --only {call}\n" in gpu.__doc__
    # What a section may take is longer than its budget; a step's budget is never cut short.
    assert gpu.longest(steps) >= sum(gpu.MODULES[s][1] for s in steps if s in gpu.MODULES)


def test_the_three_calls_are_everything_once():
    steps = [step for call in gpu.CALLS for step in call.split(",")]
    assert sorted(["machine", *steps]) == sorted(["build", "checks", *gpu.MODULES])


@pytest.mark.parametrize("call", gpu.CALLS)
def test_no_budget_is_cut_though_every_step_takes_all_of_it(call, tmp_path, monkeypatch):
    """Each step ends when it must; the last one still has its full time."""
    now, given = 0.0, {}

    def takes(name, seconds, limit):
        nonlocal now
        given[name] = seconds
        now += limit
        return {"ok": True, "rows": []}

    monkeypatch.setattr(gpu.time, "monotonic", lambda: now)
    monkeypatch.setattr(gpu, "section", lambda n, s, report: takes(n, s, s + gpu.GRACE))
    monkeypatch.setattr(gpu.checks, "build", lambda _, s, *rest: takes("build", s, s))
    monkeypatch.setattr(gpu.checks, "checks", lambda _, s, *rest: {"a": takes("checks", s, s)})
    monkeypatch.setenv("OUT", str(tmp_path))
    report = gpu.Report(SimpleNamespace(dry_run=True, commit=""))
    steps = call.split(",")
    gpu.everything(report, 60 * gpu.MINUTES, steps)
    wanted = {"build": gpu.BUILD_SECONDS, "checks": gpu.CHECK_SECONDS}
    wanted |= {name: seconds for name, (_, seconds) in gpu.MODULES.items()}
    assert given == {name: wanted[name] for name in ["machine", *steps]}
    assert now == gpu.longest(steps)


def test_a_later_call_keeps_what_an_earlier_one_found_in_the_same_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("OUT", str(tmp_path))
    file = tmp_path / "dry-run.json"

    def report():
        return gpu.Report(SimpleNamespace(dry_run=True, commit=""))

    first = report()
    first.values["sections"]["copy"] = {"ok": True, "rows": [{"what": "here"}]}
    first.values["checks"]["build"] = {"ok": True}
    first.write()
    second = report()
    second.resume()
    second.values["sections"]["gram"] = {"ok": True, "rows": []}
    second.write()
    held = json.loads(file.read_text())
    assert set(held["sections"]) == {"copy", "gram"} and held["checks"] == {"build": {"ok": True}}

    file.write_text(json.dumps(held | {"sources_sha256": "another"}))
    third = report()
    third.resume()
    assert third.values["sections"] == {}
    file.write_text("{")
    third.resume()
    assert third.values["sections"] == {}


TESTS = """
import time
import pytest

def test_good(): pass
def test_bad(): assert 1 == 2, "not so"

@pytest.mark.skip
def test_skipped(): pass

@pytest.fixture
def ends_badly():
    yield
    raise OSError("gone")

def test_that_fails_behind_itself(ends_badly): pass
def test_long(): time.sleep(60)
def test_never_reached(): pass
"""


def test_a_stopped_run_has_told_what_it_found(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    step = checks._pytest([str(file)], {}, 8, tmp_path / "log", dry_run=False)
    assert not step["ok"] and step["why"] == "stopped after 8 s"
    assert (step["passed"], step["failed"], step["skipped"], step["unfinished"]) == (1, 2, 1, 2)
    assert step["running"].endswith("::test_long")
    why = {name.split("::")[-1]: line for name, line in step["failures"].items()}
    assert "not so" in why["test_bad"] and "gone" in why["test_that_fails_behind_itself"]
    assert len(step["slowest"]) == 4  # of those that ended


def test_a_file_that_cannot_be_collected_is_a_failure(tmp_path):
    (tmp_path / "test_good.py").write_text("def test_good(): pass\n")
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    words = ["--continue-on-collection-errors", str(tmp_path)]
    step = checks._pytest(words, {}, 60, tmp_path / "log", dry_run=False)
    assert (step["passed"], step["failed"], step["unfinished"]) == (1, 1, 0)
    assert "no_such_module" in str(step["failures"]) and "running" not in step


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "results"
    assert streamed.counts(path) == {}
    path.write_text('{"collected": 2}\n{"begun": "a"}\n{"ended": "a", "outco')
    found = streamed.counts(path)
    assert found["unfinished"] == 2 and found["running"] == "a" and found["passed"] == 0


def test_what_lies_in_the_working_directory_is_not_imported(tmp_path):
    (tmp_path / "test_where.py").write_text(
        "import copy, sys\n"
        "def test_it(): assert '' not in sys.path and 'on_gpu' not in copy.__file__\n"
    )
    command = python(*streamed.arguments(tmp_path / "out", "-q", str(tmp_path / "test_where.py")))
    assert command[0] == sys.executable
    assert run(command, 60, tmp_path / "log").code == 0


def test_only_one_kernel_set_runs_the_tests_that_run_each_kernel(monkeypatch):
    asked = {}

    def ran(words, environment, *rest):
        asked[str(environment)] = words
        return {"ok": True}

    monkeypatch.setattr(checks, "_pytest", ran)
    monkeypatch.setattr(checks, "_sanitize", lambda *arguments: {"ok": True})
    sets = {"simple": {"A": "simple"}, "fast": {"A": "fast"}}
    checks.checks(sets, 1, None, dry_run=False)
    assert asked[str(sets["simple"])][:2] == ["-m", "cuda and not each_kernel"]
    assert asked[str(sets["fast"])][:2] == ["-m", "cuda"]
