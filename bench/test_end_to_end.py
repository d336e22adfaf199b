"""End to end: seconds and memory beside the bare forward pass and pytorch-cka; the commands."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import timm
import torch
from interleave import interleave, quartiles

import vitprobe

TABLE = "{}: CKA of every module of ResNet-18 x ViT-tiny, 2 x 128 images of 32 px"
PEER = "beside pytorch-cka {}"
NEEDS_PEER = 'needs pytorch-cka: pip install ".[bench]"'


@pytest.fixture
def end_to_end():
    pytest.importorskip("cka", reason=NEEDS_PEER)
    import end_to_end

    return end_to_end


def test_seconds(end_to_end, compared, rounds):
    values = end_to_end.times(rounds(5))
    each = zip(*(values[name] for name in end_to_end.WAYS), strict=True)
    compared(
        table=TABLE.format("Time"),
        name=PEER.format(version("pytorch-cka")),
        unit="s",
        rounds=len(values["forward"]),
        values={name: quartiles(seconds) for name, seconds in values.items()},
        ratio_of="(vitprobe - forward) / (pytorch-cka - forward)",
        ratio=quartiles([(ours - forward) / (peer - forward) for forward, peer, ours in each]),
        target="<= 0.35",
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read on Linux only")
def test_peak_memory(end_to_end, compared, rounds):
    values = end_to_end.memory(rounds(3))
    forward, peer, ours = (values[name] for name in end_to_end.WAYS)
    compared(
        table=TABLE.format("Peak memory"),
        name=PEER.format(version("pytorch-cka")),
        unit="MB",
        rounds=len(forward),
        values={
            "forward": quartiles(forward),
            "pytorch-cka, above it": quartiles(peer),
            "vitprobe, above it": quartiles(ours),
        },
        ratio_of="vitprobe / pytorch-cka",
        ratio=quartiles([our / their for our, their in zip(ours, peer, strict=True)]),
        target="<= 0.25",
    )


@pytest.mark.parametrize(
    "line, seconds_said",
    [
        ("cka --models vit@digits,resnet20@digits", 15),  # the README: a quarter of a minute
        ("cka --models vit,resnet18", 60),
        ("attention --models vit", 60),
        ("maps --model vit --index 3", 60),
        ("head-subsets --models vit,resnet18", 60),
    ],
)
def test_the_command(compared, rounds, tmp_path, line, seconds_said):
    """What a new user runs, from the start of the process to the files written."""
    # In an empty folder: the package that runs is the installed one.
    command = [sys.executable, "-m", "vitprobe", *line.split(), "--output", "out"]

    def run():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    seconds = interleave({"wall time": run}, rounds(3), warm_up=0)["wall time"]
    assert len(list((tmp_path / "out").glob("*.nc"))) >= 1
    compared(
        table="The commands, with imports, figures and files",
        name=f"vitprobe {line}",
        unit="s",
        rounds=len(seconds),
        values={"wall time": quartiles(seconds)},
        target=f"<= {seconds_said} s",
    )


def test_attention_beside_the_forward(compared, rounds):
    """All layers and heads, survey included."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=10).eval()
    images = torch.randn(64, 3, 224, 224)

    def forward():
        with torch.no_grad():
            for part in images.split(32):
                model(part)

    def ours():
        return vitprobe.attention(model, images, batch_size=32)

    assert ours()["distance"].notnull().all()
    seconds = interleave({"forward": forward, "vitprobe": ours}, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.attention of ViT-tiny, 2 x 32 images of 224 px",
        name="all layers and heads",
        unit="s",
        rounds=len(seconds["forward"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 1.3",
    )
