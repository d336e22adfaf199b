"""The name of a run's files tells what sets it apart from the plain one."""

from dataclasses import fields

import pytest
import torch

from vitprobe.training.naming import WORD_OF
from vitprobe.training.resolve import resolve
from vitprobe.training.settings import FREE, Settings

DATA = ("mode", "model", "dataset", "test_dataset")  # these are words of every name, or no choice


def name(mode="scratch", **options):
    return resolve(mode, options).model_name


def test_plain_runs_keep_their_short_names(tmp_path):
    assert name() == name(model="vit", dataset="digits") == "vit-digits-scratch"
    assert name(model="resnet18") == "resnet18-digits-scratch"
    assert name("resnet") == "resnet18-digits-resnet"
    assert name("pretrain", dataset="cifar100") == "vit-cifar100-pretrain"
    assert name(model="vit-zhu2023", dataset="svhn") == "vit_zhu2023-svhn-scratch"
    (tmp_path / "imagenet-100").mkdir()
    found = name("pretrain", data_dir=str(tmp_path / "imagenet-100"))
    assert found == "vit-imagenet_100-pretrain"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"lr": 0.01}, "lr0.01"),
        ({"lr": 1e-5, "epochs": 5}, "e5-lr1e-05"),
        ({"recipe": "adam-plain"}, "adam_plain"),
        ({"recipe": "adam-plain", "lr": 0.01}, "adam_plain-lr0.01"),
        ({"batch_size": 64, "optimizer": "sgd", "weight_decay": 0.0}, "b64-sgd-wd0"),
        ({"patch_size": 8, "depth": 4, "pool": "mean"}, "ps8-d4-pool_mean"),
        ({"remove_skip": 0}, "noskip0"),
        ({"model": "vit(patch_size=8)"}, "ps8"),
        ({"precision": "bf16", "fraction": 0.1, "seed": 3}, "bf16-f0.1-s3"),
        ({"scheduler": "step", "validation": 0.2, "image_size": 64}, "i64-sched_step-val0.2"),
    ],
)
def test_what_differs_is_a_word(options, words):
    assert name(**options) == f"vit-digits-scratch-{words}"


def test_what_is_said_and_is_usual_is_none(tmp_path):
    usual = resolve("scratch", {})
    same = {"lr": usual.lr, "epochs": usual.epochs, "recipe": "digits", "seed": 0, "fraction": 1.0}
    assert name(**same) == "vit-digits-scratch"
    free = {"device": "cpu", "workers": 0, "save_every": 5.0, "output": str(tmp_path)}
    assert name(**free, num_classes=10, compile=True) == "vit-digits-scratch"


def test_a_config_file_and_a_recipe_of_ones_own(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("lr = 0.5\n[augment]\nflip = 0.25\n")
    first = resolve("scratch", {}, str(config)).model_name
    assert first.startswith("vit-digits-scratch-lr0.5-aug")
    config.write_text("lr = 0.5\n[augment]\nflip = 0.125\n")
    assert resolve("scratch", {}, str(config)).model_name != first
    own = tmp_path / "mine.toml"
    own.write_text('batch_size = 4\nepochs = 2\noptimizer = "adam"\nlr = 1e-2\n')
    assert name(recipe=str(own)) == "vit-digits-scratch-mine"


def test_the_weights_that_a_run_starts_from(tmp_path):
    path = tmp_path / "pretrained-vit.pt"
    torch.save({"model_state_dict": {"w": torch.zeros(1)}, "settings": {"model": "vit"}}, path)
    tuned = name("finetune", checkpoint=str(path), dataset="cifar10")
    assert tuned == "vit-cifar10-finetune-from_pretrained_vit"
    keyed = name("probe", model=f"vit@{path}#ema", dataset="cifar10")
    assert keyed == "vit-cifar10-probe-from_pretrained_vit_ema"
    hub = name("finetune", model="base-vit@pretrained", dataset="cifar10")
    assert hub == "base_vit-cifar10-finetune-from_pretrained"


def test_every_choice_that_matters_has_a_word():
    choices = {field.name for field in fields(Settings)}
    assert choices == {*WORD_OF, *FREE, *DATA}
    assert not {*WORD_OF} & {*FREE, *DATA}


def test_a_sweep_has_a_name_for_each_run():
    sweep = [
        {"lr": lr, "epochs": e, "seed": s} for lr in (0.1, 0.01) for e in (3, 4) for s in (0, 1)
    ]
    assert len({name(**options) for options in sweep}) == len(sweep)
