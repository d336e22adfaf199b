"""`vitprobe localization`: files, choices, wrong input in one line; parts of a run add up to it."""

import signal
from pathlib import Path

import numpy as np
import pytest
import xarray
from PIL import Image

VIT = "vit(depth=2,dim=24,heads=3,mlp_dim=32)"
SMALL = ("--examples", 48, "--batch-size", 8)


def written(ended):
    return [line.split()[-1] for line in ended.out.splitlines() if line.startswith("wrote")]


def load(path):
    return xarray.load_dataset(path, engine="h5netcdf")


@pytest.mark.drawn
def test_files(vitprobe_command):
    ended = vitprobe_command("localization", "--models", f"{VIT},resnet20", *SMALL)
    assert ended.code == 0, ended.err
    *files, both = written(ended)
    assert [Path(path).suffix for path in files] == [".nc", ".png"] * 2
    assert "blocks.1: 8 x 8 tokens, patches of 4 x 4 px" in ended.out
    assert "48 examples in 6 batches of 8" in ended.out and "random weights (seed 0)" in ended.out
    assert ended.out.count("at random  ") == 1 and "distance  at random\n" in ended.out
    table = [line.split() for line in ended.out.splitlines() if line.startswith("resnet20")]
    vit, resnet = (load(path) for path in files[::2])
    number = f"{100 * resnet['own_place'].item():.1f}"
    assert table[0][1:4] == ["layer3.2", "64", number] and table[0][4] == "1.6"
    assert table[0][5] == f"{resnet['mean_distance'].item():.2f}"
    assert vit.attrs["analysis"] == "localization" and vit.attrs["layer"] == "blocks.1"
    assert vit["cka"].notnull().all() and vit["cka_se"].notnull().all()
    assert "cka_cls" in vit and "cka_cls" not in resnet
    for path in (files[1], files[3], both):
        with Image.open(path) as image:
            assert min(image.size) > 300
    ended = vitprobe_command("plot", *files[::2], "--title", "mine", "--labels", "one,two")
    assert ended.code == 0, ended.err


def test_options(vitprobe_command):
    words = ("--layer", "blocks.0", "--tokens", "0,0;2,3", "--precision", "bf16")
    ended = vitprobe_command("localization", "--models", VIT, *SMALL, *words)
    assert ended.code == 0, ended.err
    assert "8 x 8 tokens, 2 of them" in ended.out
    read = load(written(ended)[0])
    assert read.attrs["layer"] == read.attrs["layer_asked"] == "blocks.0"
    assert read.attrs["tokens_asked"] == "0,0;2,3" and read.attrs["dtype"] == "bf16"
    assert read["token_row"].values.tolist() == [0, 2] and read["counted"] == 2
    assert read["cka"].sel(token_row=2, token_col=3).notnull().all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--models", "vit", "--tokens", "0;1"), "--tokens takes rows and columns of tokens such"),
        (("--models", "vit", "--tokens", "8,0", *SMALL), "no token 8,0: it has 8 x 8, counted"),
        (("--models", "vit", "--layer", "blocks.9", *SMALL), "'blocks.9'"),
        (("--models", "vit", "--layer", "head", *SMALL), "head has no tokens to look at"),
        (("--models", "vit", "--grid", "8", *SMALL), "--grid takes whole numbers such as 8x8"),
        (("--models", "vit", "--grid", "5x5", *SMALL), "5 x 5 patches"),
        (("--models", "vit", "--token", "0,0"), "--token"),
        (("--models", "resnet18", "--image-size", 8, *SMALL), "--layer layer3.1"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, words, expected):
    ended = vitprobe_command("localization", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
    assert not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    shown = vitprobe_command("localization", "--help").out
    assert all(word in shown for word in ("--models", "--layer", "--tokens", "--resume", "--shard"))


def agree(found, whole):
    """The same numbers, to rounding of sums in another order."""
    assert found.attrs["run"] == whole.attrs["run"] and list(found.variables) == list(
        whole.variables
    )
    for name in whole.variables:
        if whole[name].dtype.kind != "f":
            assert found[name].values.tolist() == whole[name].values.tolist(), name
            continue
        loose = 1e-7 if name.endswith("_se") else 1e-12
        np.testing.assert_allclose(found[name], whole[name], 1e-6, loose, err_msg=name)


def test_shares_merge_to_the_whole(vitprobe_command):
    words = ("localization", "--models", f"{VIT},resnet20", *SMALL)
    whole = vitprobe_command(*words, "--output", "whole")
    assert whole.code == 0, whole.err
    for index in (1, 2, 3):
        ended = vitprobe_command(*words, "--shard", f"{index}/3", "--output", "shares")
        assert ended.code == 0, ended.err
    ended = vitprobe_command("merge", *Path("shares").glob("*.partial"), "--output", "merged")
    assert ended.code == 0, ended.err
    names = sorted(path.name for path in Path("whole").iterdir())
    assert sorted(path.name for path in Path("merged").iterdir()) == names and len(names) == 5
    for name in (name for name in names if name.endswith(".nc")):
        agree(load(Path("merged") / name), load(Path("whole") / name))


def test_killed_and_gone_on_with(vitprobe_run, tmp_path):
    words = ("localization", "--models", VIT, *SMALL, "--name", "x")
    assert vitprobe_run(*words, "--output", "whole", cwd=tmp_path).code == 0
    how = {"cwd": tmp_path, "stop_at": ("vitprobe.passes.partial.write_file", 2)}
    run = vitprobe_run(*words, "--save-every", 1e-6, **how)
    assert run.code == -signal.SIGKILL and (tmp_path / "results" / "x.partial").exists()
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0 and "batches are done" in run.out, run.err
    found, whole = (load(tmp_path / folder / "x.nc") for folder in ("results", "whole"))
    for name in whole.variables:
        assert found[name].identical(whole[name]), name


def test_tolerance_ends_a_run(vitprobe_command):
    words = ("--examples", 128, "--batch-size", 8, "--save-every", 1e-6, "--tolerance", 10)
    ended = vitprobe_command("localization", "--models", VIT, *words)
    assert ended.code == 0, ended.err
    assert load(written(ended)[0]).attrs["examples"] == 64


def test_memory_is_counted_and_fewer_tokens_are_named(vitprobe_command, monkeypatch):
    monkeypatch.setattr("vitprobe.passes.room.free_on", lambda device: 10_000_000)
    ended = vitprobe_command("localization", "--models", VIT, *SMALL)
    assert ended.code == 0, ended.err
    monkeypatch.setattr("vitprobe.passes.room.free_on", lambda device: 1_000_000)
    ended = vitprobe_command("localization", "--models", VIT, *SMALL)
    assert ended.code == 2 and "use fewer tokens (--tokens 0,0) or another layer" in ended.err
