"""`vitprobe tune` on GPUs that are made up, and on none; `vitprobe info` shows the same."""

import json

import pytest
from made_gpu import FOUND, made_gpu, made_gpus

from vitprobe.ops import library


def lines_of(out, kind):
    return [line for line in out.splitlines() if line.startswith(f"centered_gram  {kind}")]


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Two alike and one that is too old."""
    why = "a stand-in, sm_75; built for 9.0: no kernel image"
    monkeypatch.setattr(library, "why_no_cuda", lambda: "")
    monkeypatch.setattr(library, "why_no_image", lambda index: why if index == 2 else "")
    made_gpus(monkeypatch, 3)
    return made_gpu(monkeypatch, tmp_path / "cache", **FOUND)


def test_kernels_are_tried_and_shown(gpus, vitprobe_command, tmp_path):
    code, out, err = vitprobe_command("info")
    assert code == 0 and out.count("not tried yet: at the first use, or by vitprobe tune") == 1
    assert not gpus

    code, out, err = vitprobe_command("tune")
    assert code == 0 and err.count("\n") == 1
    assert "its kernels are tried against float64 on a stand-in" in err
    small, large = lines_of(out, "f32")
    assert small.split()[2:5] == ["small", "simple", "0.0e+00"] and large.split()[2] == "large"
    assert "reference" in small and "fast: it was ended by SIGABRT" in small
    assert len(lines_of(out, "bf16")) == 2
    assert "kernels on cuda:1: as on the one of this kind above" in out
    assert "kernels on cuda:2: none runs there (a stand-in, sm_75; built for 9.0" in out

    assert [how["again"] for how in gpus] == [True]
    code, again, err = vitprobe_command("info")
    assert (code, err, len(gpus)) == (0, "", 1)
    assert again.endswith(out)

    (path,) = (tmp_path / "cache").iterdir()
    assert len(json.loads(path.read_text())["answers"]) == 2


def test_info_says_what_the_environment_overrides(vitprobe_command, monkeypatch):
    monkeypatch.setenv("VITPROBE_HSIC", "fast")
    out = vitprobe_command("info").out
    assert "hsic_accumulate_: fast, as VITPROBE_HSIC or VITPROBE_TUNE says" in out
    monkeypatch.setenv("VITPROBE_HSIC", "faster")
    ended = vitprobe_command("info")
    assert ended.code == 2
    assert ended.err == "vitprobe: VITPROBE_HSIC is reference, simple or fast, not 'faster'\n"


def test_without_a_gpu(vitprobe_command, monkeypatch):
    made_gpus(monkeypatch, 0)
    code, out, err = vitprobe_command("tune")
    assert (code, out) == (2, "")
    assert err.startswith("vitprobe: no CUDA device on this machine: there is nothing to choose")
    assert err.count("\n") == 1
    assert "no GPU that torch can use: nothing is to be chosen" in vitprobe_command("info").out


def test_without_kernels(vitprobe_command, monkeypatch):
    made_gpus(monkeypatch, 1)
    monkeypatch.setattr(library, "why_no_cuda", lambda: "not built: no nvcc")
    code, _, err = vitprobe_command("tune")
    assert code == 2 and "CUDA kernels are not there (not built: no nvcc): reinstall with" in err
