"""No file chooses what is run, and no text of a file does anything to the terminal."""

import json
import os
import unicodedata
import warnings

import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

from vitprobe.cli._warned import plain_warnings
from vitprobe.models import build_model
from vitprobe.text import UNSEEN

TITLE = "x\x1b]0;owned\x07\x1b[31m\nsecond\u202e"


@pytest.fixture
def weights():
    small = {"dim": 64, "depth": 1, "heads": 2, "mlp_dim": 64, "patch_size": 8}
    return dict(build_model("vit", architecture=small).state_dict())


def is_plain(text):
    return not any(unicodedata.category(char) in UNSEEN for char in text if char != "\n")


@pytest.mark.parametrize("model", ["payload:make", "os:abort", "payload:make(a=1)@x"])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_checkpoint_does_not_choose_what_is_imported(
    vitprobe_command, tmp_path, weights, model, ending
):
    (tmp_path / "payload.py").write_text("open('executed', 'w')\n")
    settings = {"model": model}
    if ending == "pt":
        torch.save({"model_state_dict": weights, "settings": settings}, tmp_path / "evil.pt")
    else:
        about = {"settings": json.dumps(settings)}
        save_file(weights, tmp_path / "evil.safetensors", about)
    for mode in ("finetune", "probe"):
        ended = vitprobe_command("train", mode, "--checkpoint", f"evil.{ending}")
        assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
        assert f"evil.{ending} says that its model is" in ended.err
        assert "if you trust that model, type it: --model" in ended.err
    assert not (tmp_path / "executed").exists()


def test_what_the_user_types_is_the_users(vitprobe_command, tmp_path, weights):
    (tmp_path / "mine_of_trust.py").write_text(
        "from vitprobe.models.vit import vit\n"
        "def make(num_classes=10, image_size=32):\n"
        "    small = dict(dim=64, depth=1, heads=2, mlp_dim=64, patch_size=8)\n"
        "    return vit(num_classes, image_size, **small)\n"
    )
    torch.save({"model_state_dict": weights, "settings": {"model": "os:abort"}}, tmp_path / "w.pt")
    words = ("--model", "mine_of_trust:make", "--checkpoint", "w.pt", "--epochs", 1)
    ended = vitprobe_command("train", "finetune", *words, "--fraction", 0.05)
    assert ended.code == 0 and "best" in ended.out


def test_text_of_a_checkpoint_is_shown_escaped(vitprobe_command, tmp_path, weights):
    torch.save({"a\x1b[2J": weights | {TITLE: torch.zeros(2)}}, tmp_path / "w.pt")
    words = ("--examples", 16, "--batch-size", 8, "--layers", "blocks")
    ended = vitprobe_command("cka", "--models", "vit@w.pt", *words)
    assert ended.code == 0, ended.err
    assert is_plain(ended.out) and is_plain(ended.err)
    assert r"a\x1b[2J" in ended.out and r"x\x1b]0;owned\x07\x1b[31m\nsecond\u202e" in ended.out
    [path] = (tmp_path / "results").glob("*.nc")
    with xr.open_dataset(path, engine="h5netcdf") as result:
        texts = [text for text in result.attrs.values() if isinstance(text, str)]
        assert all(map(is_plain, texts)) and any("owned" in text for text in texts)


def test_names_of_files_and_typed_words_too(vitprobe_command, tmp_path):
    name = "w\x1b]0;owned\x07\nsecond.pt"
    (tmp_path / name).write_text("none")
    for words in (
        ("cka", "--models", f"vit@{name}"),
        ("cka", "--models", TITLE),
        ("train", "scratch", "--config", f"{TITLE}.toml"),
        ("compare-training", f"{TITLE}.toml"),
        ("recipes", TITLE),
        (TITLE,),
        ("cka", f"--{TITLE}"),
    ):
        ended = vitprobe_command(*words)
        assert ended.code == 2 and ended.err.count("\n") == 1
        assert is_plain(ended.err) and r"\x1b" in ended.err


def test_a_recipe_is_printed_line_by_line(vitprobe_command, tmp_path):
    (tmp_path / "own.toml").write_text('about = "a"  # \u202e\nepochs = 3\n')
    ended = vitprobe_command("recipes", "own.toml")
    assert ended.code == 0 and "epochs = 3\n" in ended.out and r"\u202e" in ended.out


@pytest.mark.parametrize(
    "words",
    [
        ("cka", "--models", "vit@pipe"),
        ("layers", "vit@zero"),
        ("train", "finetune", "--checkpoint", "pipe"),
        ("train", "finetune", "--model", "vit@zero"),
        ("train", "scratch", "--config", "pipe"),
        ("train", "scratch", "--recipe", "pipe.toml"),
        ("compare-training", "pipe.toml"),
        ("recipes", "zero.toml"),
    ],
)
def test_pipes_and_devices(vitprobe_command, tmp_path, words):
    for ending in ("", ".toml"):
        os.mkfifo(tmp_path / f"pipe{ending}")
        (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    ended = vitprobe_command(*words)
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "is a pipe" in ended.err or "is a device" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("cka", "--models", "vit@~nosuchuser/w.pt"),
        ("train", "finetune", "--checkpoint", "~nosuchuser/w.pt"),
        ("train", "scratch", "--config", "~nosuchuser/x.toml"),
        ("train", "scratch", "--recipe", "~nosuchuser/x.toml"),
        ("train", "scratch", "--data_dir", "~nosuchuser/x"),
        ("compare-training", "~nosuchuser/x.toml"),
        ("layers", "local-dir:~nosuchuser/x"),
    ],
)
def test_nobodys_home(vitprobe_command, words):
    ended = vitprobe_command(*words)
    assert ended.code == 2 and ended.err.count("\n") == 1 and "no such user" in ended.err


def test_warnings_of_other_libraries_are_notes(capsys):
    with plain_warnings():
        for _ in range(2):
            warnings.warn("a\x1b[31m\nsecond line", UserWarning, stacklevel=1)
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
        place = {"filename": "/x/site-packages/torch/nn/a.py", "lineno": 3}
        warnings.warn_explicit("Slow\nand more", UserWarning, **place)
        warnings.warn_explicit("Will change", FutureWarning, **place)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == r"note: test_trust.py: a\x1b[31m"
    assert lines.count("note: torch: Slow") == 1
    assert not any("Will change" in line for line in lines)
    assert all(line.startswith("note: ") for line in lines)
