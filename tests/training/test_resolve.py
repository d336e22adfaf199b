"""Where a run's choices come from."""

import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.training.resolve import PRETRAIN_VIT, resolve
from vitprobe.training.settings import differing


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "trained.pt"
    torch.save({"model_state_dict": {"w": torch.zeros(1)}, "settings": {"model": "vit"}}, path)
    return str(path)


def test_digits_has_a_short_recipe_for_each_kind_of_network():
    vit, cnn = resolve("scratch", {}), resolve("scratch", {"model": "resnet18"})
    assert (vit.dataset, vit.model, vit.recipe) == ("digits", "vit", "digits")
    assert (cnn.recipe, resolve("resnet", {}).recipe) == ("digits-resnet", "digits-resnet")
    assert resolve("scratch", {"model": "lambda_resnet26"}).recipe == "digits-resnet"
    assert vit.architecture == {}  # the network as its name says it
    assert vit.augment["rotation"] > 0 and "flip" not in vit.augment


def test_elsewhere_pretraining_has_the_recipe_and_the_network_of_the_studies():
    s = resolve("pretrain", {"dataset": "cifar100"})
    assert (s.recipe, s.batch_size, s.epochs) == ("adamw-augmented", 32, 100)
    assert s.architecture == PRETRAIN_VIT
    assert (s.patch_size, s.dim, s.heads, s.depth, s.mlp_dim, s.dropout) == (
        16,
        128,
        4,
        12,
        512,
        0.1,
    )
    resnet = resolve("resnet", {"dataset": "cifar100"})
    assert (resnet.model, resnet.recipe, resnet.epochs) == ("resnet18", "adamw-augmented", 100)
    assert resnet.architecture == {}
    assert resolve("scratch", {"dataset": "cifar10"}).architecture == {}
    zhu = {"model": "vit-zhu2023"}
    assert resolve("scratch", zhu | {"dataset": "svhn"}).architecture == {"patch_size": 4}
    assert resolve("scratch", zhu | {"dataset": "cifar10"}).architecture == {}


def test_an_option_beats_the_config_and_the_config_the_recipe(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('mode = "scratch"\nlr = 0.5\nbatch-size = 7\n[augment]\nflip = 0.25\n')
    s = resolve(None, {"lr": 0.125, "recipe": "sgd-cosine"}, str(config))
    assert (s.lr, s.batch_size, s.momentum, s.weight_decay) == (0.125, 7, 0.9, 5e-4)
    assert s.augment == {"flip": 0.25}  # the table as a whole


def test_a_recipe_can_be_a_file_and_must_be_complete(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text('batch_size = 4\nepochs = 2\noptimizer = "adam"\nlr = 1e-2\n')
    assert resolve("scratch", {"recipe": str(own)}).batch_size == 4
    own.write_text("batch_size = 4\nepochs = 2\n")
    with pytest.raises(InputError, match="says nothing of optimizer, lr"):
        resolve("scratch", {"recipe": str(own)})
    own.write_text("batch_sizes = 4\n")
    with pytest.raises(InputError, match="'batch_sizes' is no key of a recipe"):
        resolve("scratch", {"recipe": str(own)})
    with pytest.raises(InputError, match="no TOML file other.toml"):
        resolve("scratch", {"recipe": "other.toml"})
    own.write_text("lr = = 3\n")
    with pytest.raises(InputError, match=r"not TOML: .*line 1"):
        resolve("scratch", {"recipe": str(own)})


@pytest.mark.parametrize(
    "folder, dataset, kept",
    [
        ("data/cifar100", "cifar100", True),
        ("data/CIFAR-10", "cifar10", True),
        ("fashion-mnist", "fashionmnist", True),
        ("x/digits", "digits", False),
        ("x/set.zip", "zip:x/set.zip", False),
        ("x/set.npz", "npz:x/set.npz", False),
    ],
)
def test_the_last_part_of_the_folder_names_the_data_set(folder, dataset, kept):
    s = resolve("pretrain", {"data_dir": folder})
    assert (s.dataset, s.data_dir) == (dataset, folder if kept else None)


def test_a_folder_of_images_is_one(tmp_path):
    for name in ("imagenet-100", "cifar10/train"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("imagenet-100", "cifar10"):  # the second holds class folders, not torchvision's
        s = resolve("pretrain", {"data_dir": str(tmp_path / name)})
        assert s.dataset == f"imagefolder:{tmp_path / name}"
    with pytest.raises(InputError, match="no folder, and 'imagenet' is none of digits, cifar10"):
        resolve("pretrain", {"data_dir": str(tmp_path / "imagenet")})
    both = resolve("pretrain", {"dataset": "svhn", "data_dir": str(tmp_path)})
    assert (both.dataset, both.data_dir) == ("svhn", str(tmp_path))


def test_trained_weights_for_those_modes_that_start_from_them(checkpoint):
    s = resolve("finetune", {"checkpoint": checkpoint, "dataset": "cifar10"})
    assert (s.model, s.checkpoint, s.dropout) == ("vit", checkpoint, 0.1)
    assert resolve("probe", {"model": f"vit@{checkpoint}"}).recipe == "linear-probe"
    pretrained = resolve("finetune", {"model": "base-vit@pretrained"})
    assert (pretrained.model, pretrained.checkpoint) == ("base-vit", "pretrained")
    moved = checkpoint.replace(".pt", ".pth")  # as scripts of the field call it
    assert resolve("finetune", {"checkpoint": moved}).checkpoint == checkpoint
    for mode in ("finetune", "probe"):
        with pytest.raises(InputError, match=f"{mode} starts from trained weights"):
            resolve(mode, {})
    for mode in ("scratch", "pretrain", "resnet"):
        with pytest.raises(InputError, match=f"{mode} starts from random weights"):
            resolve(mode, {"checkpoint": checkpoint})
    with pytest.raises(InputError, match="two checkpoints"):
        resolve("finetune", {"checkpoint": checkpoint, "model": "vit@other.pt"})
    with pytest.raises(InputError, match="missing.pt"):
        resolve("finetune", {"checkpoint": "missing.pt"})


@pytest.mark.parametrize(
    "mode, options, said",
    [
        ("scrath", {}, "unknown mode 'scrath'; did you mean 'scratch'"),
        (None, {}, "which mode"),
        ("scratch", {"learning_rate": 1.0}, "unknown option 'learning_rate'"),
        ("scratch", {"epoch": 3}, "did you mean 'epochs'"),
        (
            "scratch",
            {"recipe": "adamw"},
            "'adamw'; did you mean .*'adamw-augmented'",
        ),
        ("scratch", {"optimizer": "adamv"}, "unknown optimizer 'adamv'; did you mean"),
        ("scratch", {"scheduler": "cosin"}, "did you mean 'cosine'"),
        ("scratch", {"precision": "fp16"}, "unknown precision 'fp16'"),
        ("scratch", {"pool": "max"}, "unknown pool 'max'"),
        ("scratch", {"lr": 0.0}, "lr must be above 0"),
        ("scratch", {"epochs": 0}, "epochs must be from 1 to 16777216, got 0"),
        ("scratch", {"batch_size": 0}, "batch_size must be from 1"),
        ("scratch", {"dropout": 1.5}, "dropout must be from 0 to 1"),
        ("scratch", {"epochs": "ten"}, "epochs must be of type int, got 'ten'"),
        ("scratch", {"epochs": 2.5}, "epochs must be of type int, got 2.5"),
        ("scratch", {"model_name": "a/b"}, "is no file name"),
        ("scratch", {"seed": -1}, "seed must be from 0"),
        (
            "scratch",
            {"augment": {"flips": 0.5}},
            "unknown augmentation 'flips'; did you mean 'flip'",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(mode, options, said):
    with pytest.raises(InputError, match=said) as raised:
        resolve(mode, options)
    assert "\n" not in str(raised.value)


def test_the_name_tells_runs_apart(tmp_path):
    assert resolve("scratch", {}).model_name == "vit-digits-scratch"
    s = resolve("scratch", {"fraction": 0.1, "seed": 3, "model": "torchvision:vit_b_16"})
    assert s.model_name == "torchvision_vit_b_16-digits-scratch-f0.1-s3"
    (tmp_path / "imagenet-100").mkdir()
    s = resolve("pretrain", {"data_dir": str(tmp_path / "imagenet-100")})
    assert s.model_name == "vit-imagenet_100-pretrain"


def test_what_may_change_when_a_run_goes_on():
    one = resolve("scratch", {})
    moved = resolve("scratch", {"output": "elsewhere", "workers": 0, "save_every": 5.0})
    assert differing(one.as_dict(), moved) == ""
    assert differing(one.as_dict(), resolve("scratch", {"lr": 0.5})) == f"lr {one.lr} and 0.5"
