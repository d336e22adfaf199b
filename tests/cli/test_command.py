"""The command itself: help, version, the smaller sub-commands."""

import subprocess
import sys

import pytest

import vitprobe


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(vitprobe_command, words):
    ended = vitprobe_command(*words)
    for command in ("cka", "info", "layers"):
        assert command in ended.out


def test_help_of_each_command(vitprobe_command):
    ended = vitprobe_command("cka", "--help")
    assert ended.code == 0
    for option in [
        "--models",
        "--dataset",
        "--split",
        "--data-dir",
        "--order",
        "--layers",
        "--tokens",
        "--image-size",
        "--mean",
        "--std",
        "--skip-bad-images",
        "--batch-size",
        "--examples",
        "--passes",
        "--estimator",
        "--kernel",
        "--device",
        "--precision",
        "--workers",
        "--seed",
        "--output",
    ]:
        assert option in ended.out
    assert "NAME[(ARG=VALUE)][@WEIGHTS] or LABEL=that" in ended.out
    assert "Example: vitprobe layers vit" in vitprobe_command("layers", "--help").out
    assert "kernels" in vitprobe_command("info", "--help").out


def test_version(vitprobe_command):
    assert vitprobe_command("--version").out == f"vitprobe {vitprobe.__version__}\n"


def test_a_typo_in_the_command(vitprobe_command):
    ended = vitprobe_command("ckaa")
    assert ended.code == 2
    assert ended.err == "vitprobe: unknown command 'ckaa'; did you mean 'cka'?\n"


def test_help_does_not_wait_for_torch():
    code = "import sys, vitprobe.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_python_dash_m():
    done = subprocess.run(
        [sys.executable, "-m", "vitprobe", "--version"], capture_output=True, text=True
    )
    assert done.stdout == f"vitprobe {vitprobe.__version__}\n"


def test_layers_that_stand_for_blocks(vitprobe_command):
    ended = vitprobe_command("layers", "regnetx_002", "--image-size", 32)
    assert ended.out.count("stands for a block") == 13
    assert "the model lists no blocks: 13 parts stand for them (s1.b1 ... s4.b7)" in ended.out


def test_layers(vitprobe_command):
    ended = vitprobe_command("layers", "resnet20")
    assert ended.code == 0
    lines = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
    assert "16x32x32" in lines["layer1.0.conv1"]
    assert "the tensor of layer3.2.act2" in lines["layer3"]
    assert "block, the tensor of layer3.2.act2" in lines["layer3.2"]
    assert "81 layers fire, 61 of them distinct" in ended.out


def test_layers_says_why_a_layer_is_left_out(vitprobe_command):
    ended = vitprobe_command("layers", "vit")
    line = next(
        line for line in ended.out.splitlines() if line.startswith("blocks.0.attn.attn_drop")
    )
    assert "left out: never fires" in line


def test_layers_of_an_unknown_model(vitprobe_command):
    ended = vitprobe_command("layers", "resnet19")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert "did you mean 'resnet18'" in ended.err


def test_info(vitprobe_command):
    ended = vitprobe_command("info")
    assert ended.code == 0
    for words in (f"vitprobe {vitprobe.__version__}", "cpu kernels", "cuda kernels", "devices"):
        assert words in ended.out
