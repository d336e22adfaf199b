"""What the commands say of a model, each thing once, and of random weights at their end."""

import re

import pytest

from vitprobe.cli._summary import new_console, say_model, say_random

SMALL = ("--examples", 32, "--batch-size", 16)
LAST = r"weights  random: .*; trained ones: .*NAME@FILE.*"


def facts(label, **more):
    return {
        "model": label,
        "model_name": label.partition("@")[0],
        "model_weights": label.partition("@")[2] or "random",
        "model_parameters": 1234567,
        "model_image_size": "32, 32",
        "model_mean": "0.3057, 0.3057, 0.3057",
        "model_std": "0.3, 0.2, 0.3",
    } | {f"model_{key}": value for key, value in more.items()}


@pytest.mark.parametrize(
    ("name", "note", "expected"),
    [
        (
            "vit",
            "vit: random weights (seed 0); for trained ones use vit@FILE",
            ["vit: random weights (seed 0), 1,234,567 parameters, 32 px, mean 0.3057, "]
            + ["std 0.3, 0.2, 0.3"],
        ),
        (
            "vit@a/b.pt",
            "vit: weights of a/b.pt; 4 heads are a guess",
            ["vit@a/b.pt: 1,234,567 parameters, 32 px, mean 0.3057, std 0.3, 0.2, 0.3\n"]
            + ["         4 heads are a guess"],
        ),
        (
            "resnet18@pretrained",
            "resnet18: pretrained weights (timm resnet18.a1_in1k) with their own classifier",
            ["resnet18@pretrained: pretrained weights (timm resnet18.a1_in1k) with their own "]
            + ["classifier, 1,234,567 parameters, 32 px, mean 0.3057, std 0.3, 0.2, 0.3"],
        ),
    ],
)
def test_a_model_in_a_line(capsys, name, note, expected):
    say_model(new_console(), facts(name, note=note), "model")
    assert capsys.readouterr().out == f"model    {''.join(expected)}\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vit@digits", "resnet20@a.pt"], ""),
        (
            ["vit", "resnet20@a.pt"],
            "vit; trained ones: vit@digits (shipped with vitprobe), NAME@FILE",
        ),
        (["resnet32", "resnet32"], "resnet32; trained ones: NAME@FILE"),
        (
            ["vit", "resnet20", "resnet18", "resnet34"],
            "vit, resnet20, resnet18, resnet34; trained ones: vit@digits, resnet20@digits "
            "(shipped with vitprobe), NAME@FILE, resnet18@pretrained, resnet34@pretrained "
            "(over a network)",
        ),
    ],
)
def test_what_gives_trained_weights(capsys, names, expected):
    say_random(new_console(), [(facts(name), "model") for name in names])
    assert capsys.readouterr().out == (f"weights  random: {expected}\n" if expected else "")


def test_of_a_users_own_callable_nothing_is_known(capsys):
    given = facts("own_net:net", weights="as given by own_net:net")
    say_random(new_console(), [(given, "model")])
    assert capsys.readouterr().out == ""


def test_a_label_and_its_spec(capsys):
    note = "vit: weights of a/b.pt"
    say_model(new_console(), facts("early", name="vit", spec="vit@a/b.pt", note=note), "model")
    assert capsys.readouterr().out.startswith("model    early (vit@a/b.pt): 1,234,567 parameters")
    say_model(new_console(), facts("vit", spec="vit@random", note="vit: random"), "model")
    assert capsys.readouterr().out.startswith("model    vit: random, 1,234,567 parameters")


@pytest.mark.parametrize(
    "words",
    [
        ("cka", "--models", "vit,resnet20", "--layers", "blocks", *SMALL),
        ("attention", "--models", "vit,mini-vit", *SMALL),
        ("head-subsets", "--models", "vit,resnet20", *SMALL),
        ("maps", "--model", "vit", "--index", 0),
    ],
    ids=lambda words: words[0],
)
def test_random_weights_are_said_at_the_end(vitprobe_command, words):
    lines = vitprobe_command(*words).out.splitlines()
    assert re.fullmatch(LAST, lines[-1]) and "vit@digits" in lines[-1]
    assert sum("trained ones" in line for line in lines) == 1
    assert "mean 0.3057, std 0.3235" in lines[0]


def test_nothing_is_random_of_trained_weights(vitprobe_command):
    ended = vitprobe_command("head-subsets", "--models", "vit@digits,resnet20@digits", *SMALL)
    assert ended.code == 0 and "random" not in ended.out
    assert ended.out.splitlines()[0].startswith(
        "model    vit@digits: trained on digits, 1,205,898 parameters"
    )
