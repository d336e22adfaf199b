"""`vitprobe train`: what is typed arrives, runs, and is recorded."""

import shlex
from dataclasses import fields

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import vitprobe.training
from vitprobe.cli import app
from vitprobe.errors import InputError
from vitprobe.training import Settings, train

# As researchers of small data type them.
COMMANDS = {
    "cifar100": "-m pretrain -b 128 -e 100 -i 32 -nc 100 -dir data/cifar100 --model_name "
    "pretrained_vit",
    "imagenet": "-m pretrain -b 256 -e 200 -i 224 -nc 100 -dir data/imagenet-100 "
    "--model_name pretrained_vit",
    "finetune": "-m finetune -b 128 -e 100 -i 32 -nc 10 --mlp_dim 1024 -dir data/cifar10 -ckpt "
    "checkpoints/pretrained_vit.pth --model_name finetune_vit",
    "resnet": "-m resnet -b 128 -e 200 -i 32 -nc 100 -dir data/cifar100 --model_name "
    "pretrained_resnet",
}


@pytest.fixture
def typed(monkeypatch):
    """A function: words after `vitprobe train` -> the arguments that `train` would get."""
    seen = {}

    class Stop(Exception):
        pass

    def record(mode, **arguments):
        seen.update(mode=mode, **arguments)
        raise Stop

    monkeypatch.setattr(vitprobe.training, "train", record)

    def type_in(line: str) -> dict:
        seen.clear()
        with pytest.raises(Stop):
            app(["train", *shlex.split(line)], standalone_mode=False)
        return {key: value for key, value in seen.items() if value is not None}

    return type_in


@pytest.mark.parametrize(
    "short, long, value, key",
    [
        ("-b", "--batch_size", 8, "batch_size"),
        ("-e", "--epochs", 3, "epochs"),
        ("-i", "--image_size", 64, "image_size"),
        ("-nc", "--num_classes", 10, "num_classes"),
        ("-dir", "--data_dir", "data/cifar10", "data_dir"),
        ("-ps", "--patch_size", 8, "patch_size"),
        ("-dim", "--dim", 64, "dim"),
        ("-hd", "--heads", 2, "heads"),
        ("-d", "--depth", 5, "depth"),
        ("-md", "--mlp_dim", 256, "mlp_dim"),
        ("-do", "--dropout", 0.25, "dropout"),
        ("", "--optimizer", "adam", "optimizer"),
        ("", "--lr", 0.5, "lr"),
        ("", "--weight_decay", 0.125, "weight_decay"),
        ("-ckpt", "--checkpoint", "x.pt", "checkpoint"),
        ("-mn", "--model_name", "mine", "model_name"),
        ("", "--scheduler", "poly", "scheduler"),
        ("", "--dataset", "digits", "dataset"),
        ("", "--test_dataset", "npz:t.npz", "test_dataset"),
        ("", "--model", "vit", "model"),
        ("", "--recipe", "deit", "recipe"),
        ("", "--seed", 3, "seed"),
        ("", "--device", "cpu", "device"),
        ("", "--precision", "bf16", "precision"),
        ("", "--fraction", 0.1, "fraction"),
        ("", "--pool", "mean", "pool"),
        ("", "--config", "c.toml", "config"),
        ("", "--output", "out", "output"),
        ("", "--save_every", 5.0, "save_every"),
        ("", "--keep_every", 2, "keep_every"),
        ("", "--workers", 3, "workers"),
    ],
)
def test_every_option_arrives_short_long_and_with_dashes(typed, short, long, value, key):
    nothing = typed("scratch")
    assert set(nothing) == {
        "mode",
        "resume",
        "overwrite",
        "progress",
        "command",
    }  # no defaults of its own
    for name in {short, long, long.replace("_", "-")} - {""}:
        got = typed(f"scratch {name} {value}")
        assert got[key] == value and type(got[key]) is type(value)
        assert set(got) - set(nothing) == {key}


def test_switches_and_modes(typed):
    assert typed("scratch --resume")["resume"] is True
    assert typed("scratch --overwrite")["overwrite"] is True
    assert typed("scratch --compile")["compile"] is True
    assert [typed(line)["mode"] for line in ("probe", "-m probe", "probe -m probe")] == [
        "probe"
    ] * 3
    with pytest.raises(InputError, match="two modes, 'probe' and -m 'finetune'"):
        app(["train", "probe", "-m", "finetune"], standalone_mode=False)


def test_every_choice_can_be_made_somewhere():
    """A field of Settings is an option, or a key of recipes and --config."""
    command = typer.main.get_command(app).commands["train"]
    options = {parameter.name for parameter in command.params}
    only_in_files = {f.name for f in fields(Settings)} - options
    assert only_in_files == {
        "augment",
        "clip_grad",
        "ema_decay",
        "label_smoothing",
        "min_lr",
        "momentum",
        "validation",
        "warmup",
    }


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A function: name, classes, side -> `data/<name>` with train and test folders of noise."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)

    def write(name, classes, side=32):
        for split, count in (("train", 2), ("test", 1)):  # one to train on, one to validate
            for label in range(classes):
                folder = tmp_path / "data" / name / split / f"{label:03}"
                folder.mkdir(parents=True)
                for i in range(count):
                    pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{i}.png")

    return write


def run(typed, line: str, **changed):
    """The command as written, but for what is changed, run for real."""
    arguments = typed(line) | {"progress": False} | changed
    return train(arguments.pop("mode"), **arguments)


def test_the_four_commands_of_the_field(typed, images):
    images("cifar100", 100)
    images("cifar10", 10)
    images("imagenet-100", 100, side=40)
    found = run(typed, COMMANDS["cifar100"], epochs=1)
    assert str(found.path) == "checkpoints/pretrained_vit.pt"
    settings = found.settings
    assert (settings.dataset, settings.batch_size) == ("imagefolder:data/cifar100", 128)
    assert (settings.recipe, settings.patch_size, settings.depth) == ("adamw-augmented", 16, 12)
    assert typed(COMMANDS["imagenet"])["epochs"] == 200
    with pytest.raises(InputError, match="made with other settings .*or overwrite=True"):
        run(typed, COMMANDS["imagenet"], epochs=1, depth=1)
    found = run(typed, COMMANDS["imagenet"], epochs=1, depth=1, overwrite=True)
    assert torch.load(found.path, weights_only=True)["image_size"] == [224, 224]

    with pytest.raises(InputError, match=r"mlp_dim 512 \(.*but mlp_dim 1024 was asked for"):
        run(typed, COMMANDS["finetune"], epochs=1)
    run(typed, COMMANDS["imagenet"] + " --mlp_dim 1024", epochs=1, depth=1, overwrite=True)
    found = run(typed, COMMANDS["finetune"], epochs=1)  # of 224 px at 32: positions interpolated
    assert torch.load(found.path, weights_only=True)["image_size"] == [32, 32]
    run(typed, COMMANDS["cifar100"] + " --mlp_dim 1024", epochs=1, overwrite=True)
    found = run(typed, COMMANDS["finetune"], epochs=1, overwrite=True)
    held = torch.load(found.path, weights_only=True)
    assert held["model_state_dict"]["head.weight"].shape == (10, 128)
    assert held["settings"]["checkpoint"] == "checkpoints/pretrained_vit.pt"
    assert held["architecture"]["mlp_dim"] == 1024


def test_the_resnet_command_is_recorded(typed, images, monkeypatch):
    images("cifar100", 100)
    monkeypatch.setattr("sys.argv", ["vitprobe", "train", *COMMANDS["resnet"].split()])
    found = run(typed, COMMANDS["resnet"], epochs=1)
    assert found.parameters == 11_220_132
    assert found.spec == "resnet18@checkpoints/pretrained_resnet.pt"
    held = torch.load(found.path, weights_only=True)
    assert held["command"] == f"vitprobe train {COMMANDS['resnet']}"


def test_the_class_count_is_checked(typed, images):
    images("cifar10", 10)
    with pytest.raises(InputError, match="has 10 classes, but num_classes 100 was given"):
        run(typed, "scratch -nc 100 -dir data/cifar10")


def test_options_of_a_vit_are_refused_for_a_resnet(typed):
    with pytest.raises(InputError, match="resnet18.*patch_size"):
        run(typed, "resnet --patch_size 8 --epochs 1")
