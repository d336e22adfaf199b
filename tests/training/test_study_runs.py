"""The runs of a study: which, in which order, with which arguments, and what a failure stops."""

import pytest
import torch
from made_study import TEXT, FakeTrain, write

from vitprobe.errors import InputError
from vitprobe.training.diverged import Diverged
from vitprobe.training.study import read_study
from vitprobe.training.study_runs import check_study, run_study, runs


@pytest.fixture
def study(tmp_path):
    return read_study(write(tmp_path))


def names(study):
    return [run.model_name for run in runs(study)]


def test_every_combination_once_and_pre_training_first(study):
    seed3 = [
        "mine-small_vit-none-f10-s3",
        "mine-small_vit-none-f100-s3",
        "mine-small_vit-pre-pretrain-s3",
        "mine-small_vit-pre-f10-s3",
        "mine-small_vit-pre-f100-s3",
        "mine-resnet20-none-f10-s3",
        "mine-resnet20-none-f100-s3",
        "mine-resnet20-pre-pretrain-s3",
        "mine-resnet20-pre-f10-s3",
        "mine-resnet20-pre-f100-s3",
    ]
    assert names(study) == seed3 + [name.replace("s3", "s1") for name in seed3]


def test_arguments(study):
    train = FakeTrain()
    outcomes = list(run_study(study, train, output="here"))
    assert [call["model_name"] for call in train.calls] == names(study)
    assert len(outcomes) == 16 and all(outcome.run.fraction for outcome in outcomes)
    scratch, _, pretrain, finetune, _ = train.calls[:5]
    shared = {
        "model": "vit",
        "dataset": "digits",
        "seed": 3,
        "output": "here",
        "resume": True,
        "progress": False,
        "batch_size": 32,
        "patch_size": 8,
    }
    of_target = {"epochs": 5, "fraction": 0.1, "test_dataset": None}
    assert scratch == shared | of_target | {
        "mode": "scratch",
        "checkpoint": None,
        "model_name": "mine-small_vit-none-f10-s3",
    }
    assert pretrain == shared | {
        "mode": "pretrain",
        "checkpoint": None,
        "epochs": 7,
        "lr": 0.01,
        "model_name": "mine-small_vit-pre-pretrain-s3",
    }
    assert finetune == shared | of_target | {
        "mode": "finetune",
        "checkpoint": "here/mine-small_vit-pre-pretrain-s3.pt",
        "model_name": "mine-small_vit-pre-f10-s3",
    }
    assert train.calls[5]["epochs"] == 4  # resnet20 follows [train]
    assert train.calls[5]["mode"] == "scratch" and train.calls[5]["checkpoint"] is None


def test_test_images_belong_to_their_set(tmp_path):
    text = TEXT.replace("seeds = [3", 'test_dataset = "npz:a"\nseeds = [3')
    text = text.replace('label = "pre"', 'label = "pre"\ntest_dataset = "npz:b"')
    train = FakeTrain()
    list(run_study(read_study(write(tmp_path, text)), train))
    tested = {call["mode"]: call["test_dataset"] for call in train.calls}
    assert tested == {"scratch": "npz:a", "pretrain": "npz:b", "finetune": "npz:a"}


def test_a_model_with_weights_is_fine_tuned(tmp_path):
    text = '[study]\ndataset="digits"\n[[model]]\nmodel="resnet20@some.pt"\n'
    train = FakeTrain()
    list(run_study(read_study(write(tmp_path, text)), train))
    assert train.calls[0]["mode"] == "finetune" and train.calls[0]["model"] == "resnet20@some.pt"


def test_a_line_for_each_run(study):
    lines = []
    list(run_study(study, FakeTrain(), report=lines.append))
    assert len(lines) == 20
    assert lines[0] == "1/20 small ViT, none, 10 %, seed 3: 37.0 %"
    assert lines[2] == "3/20 small ViT, pre-training on pre, seed 3: 35.0 %"
    assert lines[4] == "5/20 small ViT, pre, 100 %, seed 3: 65.0 %"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Diverged("the loss is nan at step 4"), "the loss is nan at step 4"),
        (
            torch.OutOfMemoryError("CUDA out of memory.\nTried"),
            "out of memory: CUDA out of memory.",
        ),
    ],
)
def test_a_run_that_fails_by_itself_is_blank_and_others_go_on(study, error, reason):
    train = FakeTrain({"mine-small_vit-none-f10-s3": error})
    outcomes = list(run_study(study, train))
    assert outcomes[0].reason == reason and outcomes[0].result is None
    assert len(train.calls) == 20 and not any(outcome.reason for outcome in outcomes[1:])


def test_nothing_is_fine_tuned_after_a_failed_pre_training(study):
    train = FakeTrain({"mine-small_vit-pre-pretrain-s3": Diverged("the loss is nan")})
    outcomes = list(run_study(study, train))
    blank = [outcome.run.model_name for outcome in outcomes if outcome.reason]
    assert blank == ["mine-small_vit-pre-f10-s3", "mine-small_vit-pre-f100-s3"]
    assert outcomes[2].reason == "pre-training: the loss is nan"
    assert len(train.calls) == 18
    assert all(call["checkpoint"] is None for call in train.calls if call["mode"] == "scratch")


@pytest.mark.parametrize("error", [InputError("cannot write: disk full"), KeyboardInterrupt()])
def test_any_other_error_ends_the_study(study, error):
    train = FakeTrain({"mine-small_vit-none-f100-s3": error})
    with pytest.raises(type(error)) as ended:
        list(run_study(study, train))
    assert len(train.calls) == 2
    if isinstance(error, InputError):
        expected = "run mine-small_vit-none-f100-s3: cannot write: disk full"
        assert str(ended.value) == expected


def test_a_study_that_can_begin(study):
    assert check_study(study) == 10


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "resnet20"', 'model = "resnet21"', "unknown model 'resnet21'"),
        ('model = "resnet20"', 'model = "resnet20@none.pt"', "none.pt"),
        ('dataset = "digits"\nlabel', 'dataset = "digit"\nlabel', "unknown data set 'digit'"),
        ('dataset = "digits"\nlabel', 'dataset = "imagefolder:no"\nlabel', "no"),
        ('dataset = "digits"\nseeds', 'dataset = "npz:none.npz"\nseeds', "none.npz"),
        ("seeds = [3", 'test_dataset = "npz:none.npz"\nseeds = [3', "none.npz"),
        ("epochs = 7", 'epochs = "7"', "epochs must be of type int, got '7'"),
        ("batch-size = 32", "patch_size = 8", "resnet20.*patch_size"),
        ("patch_size = 8", "patch_size = 9", "9"),
        ("[0.1,", "[0.0001,", "run mine-small_vit-none-f0.01-s3: .*0.0001"),
    ],
)
def test_what_cannot_begin_is_found_before_training(tmp_path, old, new, said):
    assert old in TEXT
    study = read_study(write(tmp_path, TEXT.replace(old, new, 1)))
    with pytest.raises(InputError, match=said):
        check_study(study)


def test_a_trained_model_is_not_pre_trained(tmp_path):
    text = '[study]\ndataset="digits"\n[[model]]\nmodel="resnet18@pretrained"\n'
    study = read_study(write(tmp_path, text + '[[pretraining]]\ndataset="digits"\n'))
    with pytest.raises(InputError, match="pretrain starts from random weights, but pretrained"):
        check_study(study)
