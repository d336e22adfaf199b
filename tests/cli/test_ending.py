"""How commands end: exit codes, one line, nothing left behind; whatever stops them, and when."""

import signal
import subprocess
import sys

import pytest
from children import ended, start

SMALL = ["--examples", "16", "--batch-size", "8", "--layers", "blocks", "--device", "cpu"]
CKA = ["cka", "--models", "resnet20", *SMALL]
STEM = "cka-resnet20-resnet20-blocks-examples16"
COMMAND = [sys.executable, "-m", "vitprobe"]
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
OTHER_APP = """
import os, signal, sys, time
from vitprobe import cli
def app(words, standalone_mode):
    {}
cli.app, sys.argv = app, ["vitprobe", "info"]
cli.main()
"""


def results(folder):
    """Names in `results`, hidden ones too."""
    where = folder / "results"
    return sorted(path.name for path in where.iterdir()) if where.exists() else []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "moment",
    [
        ("vitprobe.passes.inputs.prepare", 0),
        ("torch.nn.functional.conv2d", 30),
        ("vitprobe.cli._cka_summary.plot", 0),
        ("os.fsync", 2),  # after one that tries the folder, and the partial's
        ("os.rename", 0),
    ],
)
def test_stopped_before_the_results_are_there(vitprobe_run, tmp_path, moment, number):
    run = vitprobe_run(*CKA, cwd=tmp_path, stop_at=moment, signal=number)
    assert run.code == 128 + number
    assert all(line[:6].strip() in ("model", "data", "time", "") for line in run.out.splitlines())
    said = [line for line in run.err.splitlines() if not line.startswith("note: ")]
    early = moment[0].startswith(("torch", "vitprobe.passes"))  # no batch is done
    kept = [] if early else [f"{STEM}.partial"]
    left = f"--resume goes on from results/{kept[0]}" if kept else "nothing was written"
    assert said[-1] == f"vitprobe: {SIGNALS[number]}; {left}", run.err
    assert results(tmp_path) == kept


@pytest.mark.parametrize(
    "moment",
    [("os.replace", 1), ("os.replace", 3), ("vitprobe.cli._cka_summary.print_summary", 0)],
)
def test_stopped_when_they_are(vitprobe_run, tmp_path, moment):
    run = vitprobe_run(*CKA, cwd=tmp_path, stop_at=moment, signal=signal.SIGTERM)
    assert run.code == 143
    assert run.err.splitlines()[-1] == "vitprobe: terminated; the results are in results"
    assert results(tmp_path) == [f"{STEM}.{end}" for end in ("csv", "nc", "png")]


def test_killed_and_run_again(vitprobe_run, tmp_path):
    for moment in ("os.fsync", 2), ("os.replace", 2):
        run = vitprobe_run(*CKA, cwd=tmp_path, stop_at=moment)
        assert run.code == -signal.SIGKILL
        assert any(name.startswith(".vitprobe-") for name in results(tmp_path))
    assert vitprobe_run(*CKA, cwd=tmp_path).code == 0
    assert results(tmp_path) == [f"{STEM}.{end}" for end in ("csv", "nc", "png")]


def test_a_full_disk_ends_in_one_line(vitprobe_run, tmp_path):
    run = vitprobe_run(*CKA, cwd=tmp_path, file_limit=("start", 1000))
    assert run.code == 2, run.err
    assert run.err.splitlines()[-1] == (
        "vitprobe: cannot write to results: File too large; nothing was written"
    )
    assert results(tmp_path) == []


@pytest.mark.parametrize("in_the_way", ["folder", "name"])
def test_what_is_in_the_way_is_said_before_the_run(vitprobe_run, tmp_path, in_the_way):
    words, name = CKA, f"{STEM}.png"
    if in_the_way == "folder":
        (tmp_path / "results" / name).mkdir(parents=True)
    else:
        words = [*CKA, "--output", "é" * 128]
    run = vitprobe_run(*words, cwd=tmp_path, stop_at=("vitprobe.passes.run.run", 0))
    assert (run.code, run.out) == (2, "") and run.err.count("\n") == 1
    assert ("Is a directory" if in_the_way == "folder" else "File name too long") in run.err
    assert results(tmp_path) == ([name] if in_the_way == "folder" else [])


@pytest.mark.parametrize(
    "words",
    [
        CKA,
        ["attention", "--models", "vit"],
        ["maps", "--model", "vit", "--index", "0"],
        ["head-subsets", "--models", "vit,resnet20"],
        ["compare-training", "data-size"],
        ["train", "scratch"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("folder", ["~nosuchuser/x", "", "a\0b"])
def test_no_path_in_any_command(vitprobe_command, tmp_path, words, folder):
    run = vitprobe_command(*words, "--output", folder)
    assert (run.code, run.out) == (2, "") and run.err.count("\n") == 1, run.err
    assert "--output" in run.err and not list(tmp_path.iterdir())


def test_a_home(vitprobe_command, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run = vitprobe_command(*CKA, "--output", "~/x")
    assert run.code == 0, run.err
    assert len(list((tmp_path / "home" / "x").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_stdout_that_is_full(vitprobe_run, tmp_path):
    run = vitprobe_run(*CKA, cwd=tmp_path, stdout="/dev/full")
    assert run.code == 1
    line = "vitprobe: cannot write to stdout: No space left on device; the results are in results"
    assert run.err.splitlines()[-1] == line and "Traceback" not in run.err
    assert len(results(tmp_path)) == 3
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "--help"], stdout=full, stderr=-1, text=True)
        assert done.returncode == 1
        assert done.stderr == "vitprobe: cannot write to stdout: No space left on device\n"
        assert subprocess.run([*COMMAND, "ckaa"], stderr=full).returncode == 2


def test_stdout_that_nobody_reads():
    for words in ("--help", "--version"):
        child = subprocess.Popen([*COMMAND, words], stdout=-1, stderr=-1, text=True)
        child.stdout.close()
        assert child.stderr.read() == "" and child.wait() == 1
        child.stderr.close()


def test_stdout_that_is_closed():
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m vitprobe --version >&-"], capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_second_signal_does_not_wait_for_the_cleaning():
    for number in (signal.SIGINT, signal.SIGTERM):
        child = start(
            OTHER_APP.format(
                "try: print(1, flush=True); time.sleep(60)\n"
                "    finally: print(2, flush=True); time.sleep(60)"
            )
        )
        for line in ("1\n", "2\n"):
            assert child.stdout.readline() == line
            child.send_signal(number)
        assert child.wait(timeout=10) == -number
        child.communicate()


def test_signals_that_the_caller_ignores_stay_ignored():
    code = OTHER_APP.format("os.kill(os.getpid(), signal.SIGHUP); print('done')")
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + code
    assert ended(code) == (0, "done\n", "")


def test_children_end_as_others_do():
    code = OTHER_APP.format(
        "child = os.fork()\n"
        "    if child == 0: time.sleep(60)\n"
        "    time.sleep(0.1); os.kill(child, 15); print(os.waitpid(child, 0)[1])"
    )
    assert ended(code) == (0, "15\n", "")


def test_a_fault_of_ours():
    code, out, err = ended(OTHER_APP.format("{}['x\\n']"))
    assert (code, out) == (1, "") and err.startswith("Traceback")
    line = "vitprobe: a fault of vitprobe, KeyError: please report it with the lines above"
    assert err.splitlines()[-1] == line


def test_an_error_that_came_of_being_stopped():
    raising = "try: os.kill(os.getpid(), 15); time.sleep(60)\n    finally: raise RuntimeError"
    code, _, err = ended(OTHER_APP.format(raising))
    assert (code, err) == (143, "vitprobe: terminated; nothing was written\n")


def test_ctrl_c_where_the_handler_is_anothers(vitprobe_command, monkeypatch):
    def app(words, standalone_mode):
        return 130  # typer's answer to KeyboardInterrupt

    monkeypatch.setattr("vitprobe.cli.app", app)
    assert vitprobe_command("info") == (130, "", "vitprobe: interrupted\n")


def test_handlers_are_put_back(vitprobe_command):
    before = [signal.getsignal(number) for number in SIGNALS]
    assert vitprobe_command("--version").code == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_errors_are_one_line(vitprobe_command):
    run = vitprobe_command("cka", "--models", "vit@a\x1b]0;x\x07\nb.pt")
    assert run.code == 2 and run.err.count("\n") == 1
    assert "\x1b" not in run.err and r"\x1b]0;x\x07\nb.pt" in run.err
