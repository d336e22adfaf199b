"""`bench/gpu.py`: every section's code runs here, on the CPU; no trouble stops the others."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import forked
import gpu as gpu_script
import pytest
from on_gpu import checks
from on_gpu.machine import sources_hash
from on_gpu.names import FLASH, MATERIALISED, MATMUL, WHOLE, kernel_sets
from on_gpu.processes import Done, python, run
from on_gpu.section import Section
from on_gpu.targets import add_rates, targets

ROOT = Path(__file__).resolve().parents[1]


def gpu(folder: Path, *options: str) -> tuple[dict, str]:
    """What `bench/gpu.py` writes to $OUT, and what it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gpu.py"), "--dry-run", *options],
        env=os.environ | {"OUT": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "dry-run.json").read_text()), done.stdout


@pytest.fixture
def forked_gpu(monkeypatch, capsys, tmp_path):
    """As `gpu`, its programs forked from a process that has imported torch."""

    def quick(command, seconds, log, **environment):
        begin = time.monotonic()
        path = os.pathsep.join([str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")])
        environment |= {"PYTHONPATH": path}
        done = forked.python(*command[1:], cwd=ROOT, timeout=seconds, **environment)
        output = done.stdout + done.stderr
        with log.open("a") as file:
            file.write(f"{command}\n{output}")
        return Done(done.returncode, output, time.monotonic() - begin)

    for module in (gpu_script, checks):
        monkeypatch.setattr(module, "run", quick)
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--dry-run"])
    gpu_script.main()
    return json.loads((tmp_path / "dry-run.json").read_text()), capsys.readouterr().out


def test_every_section_runs_without_a_gpu(tmp_path, forked_gpu):
    values, said = forked_gpu
    log = (tmp_path / "gpu.log").read_text()
    assert [name for name, step in values["checks"].items() if not step["ok"]] == [], log
    assert [name for name, step in values["sections"].items() if not step["ok"]] == [], log
    assert set(values["sections"]) == {
        "copy",
        "gram",
        "hsic",
        "sites",
        "attention",
        "attention_end_to_end",
        "end_to_end",
        "training",
    }
    assert values["checks"]["pytest -m cuda, fast kernels"]["skipped"] > 50
    assert values["checks"]["pytest -m cuda, simple kernels"]["skipped"] > 3
    assert values["checks"]["pytest, operators on the CPU"]["passed"] > 0

    for section in ("gram", "hsic", "sites", "attention"):
        for row in values["sections"][section]["rows"]:
            for name, way in row["ways"].items():
                assert way["us_low"] <= way["us"] <= way["us_high"], (section, name, way)
                assert way["gb_per_s"] > 0 and "percent_of_copy" in way
    for row in values["sections"]["gram"]["rows"]:
        assert row["errors"]["simple"] < 1e-6
        assert {MATMUL, WHOLE} < set(row["ways"])
    for row in values["sections"]["attention"]["rows"]:
        assert {"simple", "fast", FLASH, MATERIALISED} == set(row["ways"])
        assert row["errors"]["simple"] < 1e-5 < row["errors"][MATERIALISED]
    ways = {row["way"]: row for row in values["sections"]["attention_end_to_end"]["rows"]}
    assert {"forward", "vitprobe simple", "vitprobe fast"} == set(ways)
    assert all(row["rounds"] == 1 for row in ways.values())
    ways = {row["way"]: row for row in values["sections"]["end_to_end"]["rows"]}
    assert ways["vitprobe simple"]["sites"][1] > 40
    assert {"vitprobe fast, grouped", "vitprobe fast, overlapped"} < set(ways)
    peer = importlib.util.find_spec("cka") is not None
    assert ("pytorch-cka" in ways) == peer
    assert not [name for name, row in ways.items() if "failed" in row]

    (row,) = values["sections"]["training"]["rows"]
    assert row["vitprobe_ms"][1] > 0 and row["ratio"][0] <= row["ratio"][2]

    assert values["dry_run"] and {row["met"] for row in values["targets"]} == {None}
    assert "a dry run measures nothing" in said and len(values["sources_sha256"]) == 64


def test_no_time_left_is_recorded(tmp_path):
    before = set((ROOT / "bench").rglob("*.json"))
    values, said = gpu(tmp_path, "--minutes", "0.01", "--only", "gram,hsic", "--commit", "abc")
    assert values["commit"] == "abc"
    assert set((ROOT / "bench").rglob("*.json")) == before  # no results of a GPU that is not there
    assert {step["why"] for step in values["sections"].values()} == {"no time left"}
    assert said.count("FAILED") == 2


def test_a_failing_section_keeps_its_rows(tmp_path):
    def work(section):
        section.add(n=1)
        section.note(left_out="the rest")
        raise ValueError("it broke")

    Section(tmp_path / "rows.json", 10, dry_run=True).run(work)
    found = json.loads((tmp_path / "rows.json").read_text())
    assert found["rows"] == [{"n": 1}] and found["left_out"] == "the rest"
    assert not found["ok"] and found["why"] == "ValueError: it broke"


def test_programs_end_at_their_limit_with_what_they_printed(tmp_path):
    log = tmp_path / "log"
    code = "import subprocess, sys; print('begun'); subprocess.run(['sleep', '60'])"
    done = run(python("-c", code), 2, log)
    assert done.code is None and done.seconds < 20 and "begun" in done.output
    assert done.why(2) == "stopped after 2 s"
    assert run(["no such program"], 2, log).code == 127
    failed = run(python("-c", "raise SystemExit('a reason')"), 20, log)
    assert failed.why(20) == "exit code 1: a reason"
    assert "begun" in log.read_text() and "a reason" in log.read_text()


def test_failures_are_counted_and_named(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'not so'\n"
        "@pytest.fixture\ndef broken(): raise OSError('gone')\n"
        "def test_error(broken): pass\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n"
    )
    step = checks._pytest([str(file)], {}, 60, tmp_path / "log", dry_run=False)
    assert (step["passed"], step["failed"], step["skipped"]) == (1, 2, 1)
    assert not step["ok"] and "not so" in str(step["failures"])
    step = checks._pytest([str(file), "-k", "skipped"], {}, 60, tmp_path / "log", dry_run=False)
    assert not step["ok"] and step["why"] == "no test ran"


@pytest.mark.parametrize(
    ("printed", "code", "ok"),
    [
        ("sanitize_small: done\n========= ERROR SUMMARY: 0 errors", 0, True),
        ("sanitize_small: done\n========= RACECHECK SUMMARY: 0 hazards displayed", 0, True),
        ("sanitize_small: done\n========= RACECHECK SUMMARY: 2 hazards displayed", 0, False),
        ("sanitize_small: done\n========= ERROR SUMMARY: 10 errors", 9, False),
        ("========= ERROR SUMMARY: 0 errors", 0, False),
        ("Error: Device not supported\n========= ERROR SUMMARY: 1 error", 1, None),
    ],
)
def test_the_sanitizer_must_say_that_all_is_well(printed, code, ok, tmp_path, monkeypatch):
    program = tmp_path / "compute-sanitizer"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    step = checks._sanitize("memcheck", {}, 20, tmp_path / "log", dry_run=False)
    assert step["ok"] is ok and (ok or step["why"])


def way(us):
    return {"us": us, "us_low": us, "us_high": us}


def test_rates_and_targets():
    """A GPU that copies 4 TB/s; every target has a value and a verdict."""

    def gram(dtype, n, p, ours, product, whole, tf32=None):
        size = 2 if dtype == "bf16" else 4
        ways = {"fast": way(ours), MATMUL: way(product), WHOLE: way(whole)}
        if tf32:
            ways |= {"fast tf32": way(tf32), f"{MATMUL} tf32": way(50), f"{WHOLE} tf32": way(200)}
        return {
            "dtype": dtype, "n": n, "p": p, "bytes": n * p * size, "flop": n * (n + 1) * p,
            "ways": ways,
        }  # fmt: skip

    def attention(tokens, depth, simple, fast, flash, whole):
        ways = {"simple": simple, "fast": fast, FLASH: flash, MATERIALISED: whole}
        return {
            "images": 8, "tokens": tokens, "depth": depth,
            "ways": {name: way(us) for name, us in ways.items()},
        }  # fmt: skip

    sections = {
        "copy": {"rows": [{"what": "copy", "bytes": 8_000_000, **way(2.0)}]},
        "gram": {
            "rows": [
                gram("bf16", 128, 200_704, 16.0, 32.0, 64.0),
                gram("bf16", 256, 200_704, 80.0, 40.0, 40.0),
                gram("f32", 256, 200_704, 60.0, 240.0, 240.0, tf32=64.0),
                gram("bf16", 1024, 4_096, 10.0, 1.0, 80.0),  # x @ x.T counts up to n = 512
            ]
        },
        "sites": {"rows": [{"ways": {"fast, one launch each": way(400), "grouped": way(100)}}]},
        "attention": {
            "rows": [
                attention(197, 64, simple=40.0, fast=9.0, flash=10.0, whole=90.0),
                attention(1025, 64, simple=400.0, fast=120.0, flash=100.0, whole=900.0),
                attention(1025, 128, simple=500.0, fast=140.0, flash=200.0, whole=630.0),
            ]
        },
        "attention_end_to_end": {
            "rows": [
                {"way": "forward", "seconds_per_batch": 1.0},
                {"way": "vitprobe simple", "seconds_per_batch": 1.5},
                {"way": "vitprobe fast", "seconds_per_batch": 1.1},
            ]
        },
        "end_to_end": {
            "rows": [
                {"way": "forward", "seconds_per_batch": 1.0},
                {"way": "vitprobe fast", "seconds_per_batch": 1.2},
                {"way": "forward, not in place", "seconds_per_batch": 1.0},
                {"way": "pytorch-cka", "seconds_per_batch": 1.5},
            ]
        },
        "training": {"rows": [{"case": "vit", "ratio": [0.99, 1.031, 1.1]}]},
    }
    add_rates(sections)
    first = sections["gram"]["rows"][0]["ways"]
    assert first["fast"]["percent_of_copy"] == 80.3  # 51.4 MB in 16 us
    assert first["fast"]["tflop_per_s"] == pytest.approx(207.13, abs=0.01)
    assert first[MATMUL]["tflop_per_s"] == pytest.approx(207.13, abs=0.01)  # twice, in twice
    found = {(row["what"].split(":")[0], row["kernel"]): row for row in targets(sections)}
    verdicts = {key: (row["measured"], row["met"]) for key, row in found.items()}
    assert verdicts == {
        ("centered_gram bf16, n = 128, p = 200704", "fast"): (80.3, True),
        ("centered_gram bf16, n = 256, p = 200704", "fast"): (32.1, False),
        ("centered_gram bf16, n = 128, p = 1605632", "fast"): (None, None),
        ("centered_gram bf16, n = 256, p = 1605632", "fast"): (None, None),
        ("centered_gram f32, n = 128, p = 200704", "fast"): (None, None),
        ("centered_gram f32, n = 256, p = 200704", "fast tf32"): (80.3, True),
        # (4 x 0.5 x 4 x 8) ** (1 / 4)
        (f"centered_gram against {WHOLE}, n <= 1024", "fast"): (2.828, True),
        (f"centered_gram against {MATMUL}, n <= 512", "fast"): (0.5, False),
        (f"centered_gram against {WHOLE} tf32, n <= 1024", "fast tf32"): (3.125, True),
        (f"centered_gram against {MATMUL} tf32, n <= 512", "fast tf32"): (0.781, False),
        ("a training step", "-"): (1.031, True),
        ("many small sites", "grouped"): (4.0, True),
        ("attention_statistics, D = 64", "simple"): (4.0, False),
        ("attention_statistics, D = 64", "fast"): (1.2, False),
        ("attention_statistics, D = 128", "simple"): (2.5, False),
        ("attention_statistics, D = 128", "fast"): (0.7, True),
        ("attention_statistics against materialising", "simple"): (1.26, False),
        ("attention_statistics against materialising", "fast"): (4.5, False),
        ("vitprobe.attention end to end", "simple"): (1.5, False),
        ("vitprobe.attention end to end", "fast"): (1.1, True),
        ("end to end", "fast"): (0.4, False),
    }
    whole = [row for row in targets(sections) if "T / F" in row["what"]]
    assert {(row["what"], row["kernel"]): (row["measured"], row["met"]) for row in whole} == {
        ("vitprobe.attention end to end: T / F", "simple"): (1.5, False),
        ("vitprobe.attention end to end: T / F", "fast"): (1.1, True),
        ("end to end: T / F", "fast"): (1.2, True),
    }
    assert all(row["why"] for row in targets({}))


def test_the_set_of_fast_kernels_is_read_without_importing_the_package():
    sets = kernel_sets()
    assert set(sets["simple"].values()) == {"simple"}
    assert len(sets) == 1 or "fast" in sets["fast"].values()
    code = "import sys, gpu; print([m for m in ('torch', 'vitprobe') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "bench", capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_source_hash_sees_a_change(tmp_path):
    for name in ("setup.py", "pyproject.toml", "csrc/a.cu", "vitprobe/b.py", "bench/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    before = sources_hash(tmp_path)
    assert sources_hash(tmp_path) == before
    (tmp_path / "csrc" / "a.cu").write_text("two")
    assert sources_hash(tmp_path) != before
