"""Wrong input: one line that says what and what to do, exit code 2, nothing written."""

import os
import urllib.error
import urllib.request

import pytest
import torch

SMALL = ("--examples", 16, "--batch-size", 8, "--layers", "blocks")


def refused(run, tmp_path, *words):
    """The one line of the refusal."""
    ended = run("cka", *words)
    lines = ended.err.splitlines()
    assert ended.code == 2
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("vitprobe: ")
    assert ended.out == ""
    assert not (tmp_path / "results").exists()
    return lines[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--models", "resnt18"), "did you mean 'resnet18'"),
        (("--models", "vit@nowhere.pth"), "nowhere.pth"),
        (("--models", "vit,"), "empty name"),
        (("--models", "torchvision:resnet81"), "did you mean"),
        (("--models", "nopackage.module:net"), "nopackage"),
        (("--models", "vit", "--layers", "blocks.*.mpl.fc2"), "did you mean"),
        (("--models", "vit", "--layers", "norm", "--layers", "head"), "2 times for 1 models"),
        (("--models", "resnet20", "--tokens", "cls"), "no --tokens cls: it has no class token"),
        (("--models", "vit", "--tokens", "words"), "tokens"),
        (("--models", "vit", "--examples", 3), "at least 4"),
        (("--models", "vit", "--examples", 100000), "360"),
        (("--models", "vit", "--batch-size", 2), "at least 4"),
        (("--models", "vit", "--dataset", "digit"), "did you mean 'digits'"),
        (("--models", "vit", "--dataset", "npz:absent.npz"), "absent.npz"),
        (("--models", "vit", "--split", "dev"), "train"),
        (("--models", "vit", "--order", "random"), "seeded"),
        (("--models", "vit", "--estimator", "debiased"), "unbiased"),
        (("--models", "vit", "--kernel", "rbf:zero"), "positive number"),
        (("--models", "vit", "--precision", "fp8"), "bf16"),
        (("--models", "vit", "--mean", "0.5,0.5"), "three numbers"),
        (("--models", "vit", "--std", "0,0,0"), "positive"),
        (("--models", "vit", "--image-size", 30), "30"),
        (("--models", "vit", "--device", "gpu"), "auto, cpu, cuda"),
        (("--models", "vit", "--passes", 0), "--passes"),
        (("--models", "vit", "--workers", "x"), "--workers"),
        (("--models", "vit", "--xyz", 3), "No such option: --xyz. See vitprobe cka --help"),
        (("--dataset", "digits"), "nothing to compare: give --models"),
    ],
)
def test_one_line(vitprobe_command, tmp_path, words, expected):
    assert expected in refused(vitprobe_command, tmp_path, *words)


def test_no_cuda(vitprobe_command, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(vitprobe_command, tmp_path, "--models", "vit", "--device", "cuda")
    assert "no CUDA device" in line
    assert "--device cpu" in line


def test_cuda_kernels_not_built(vitprobe_command, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("vitprobe.ops.library.why_no_cuda", lambda: "not built: no nvcc")
    line = refused(vitprobe_command, tmp_path, "--models", "vit", "--device", "cuda")
    assert "not built: no nvcc" in line
    assert "VITPROBE_CUDA=1" in line


def test_unwritable_output(vitprobe_command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = refused(vitprobe_command, tmp_path, "--models", "vit", "--output", "file/results")
    assert "cannot write to --output file/results" in line


def test_a_disk_that_refuses_leaves_nothing_behind(vitprobe_command, tmp_path, monkeypatch):
    sync = os.fsync

    def full(file):
        if os.fstat(file).st_size > 1:  # not the byte that is tried first
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    ended = vitprobe_command("cka", "--models", "resnet20", *SMALL)
    assert ended.code == 2
    line = ended.err.splitlines()[-1]
    assert line.endswith("cannot write to results: No space left on device; nothing was written")
    assert not (tmp_path / "results").exists()


def test_no_network(vitprobe_command, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    words = ("--models", "vit", "--dataset", "cifar10", "--data-dir", tmp_path / "data")
    assert "--dataset digits" in refused(vitprobe_command, tmp_path, *words)


class Evil:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_checkpoints_that_cannot_be_used(vitprobe_command, tmp_path, real_data):
    trained = (real_data / "resnet20-12fca82f.th").read_bytes()
    (tmp_path / "truncated.th").write_bytes(trained[: len(trained) // 2])
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    torch.save({"conv9.weight": torch.ones(3)}, tmp_path / "keys.pth")
    (tmp_path / "text.pth").write_text("no weights here")
    for name, expected in (
        ("truncated.th", "truncated.th"),
        ("evil.pth", "never"),
        ("keys.pth", "conv9.weight"),
        ("text.pth", "text.pth"),
    ):
        line = refused(vitprobe_command, tmp_path, "--models", f"resnet20@{tmp_path / name}")
        assert expected in line
    assert not (tmp_path / "executed").exists()
