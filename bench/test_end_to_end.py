"""End to end: seconds and memory beside the bare forward pass and pytorch-cka; the command."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from interleave import interleave, quartiles

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


def test_the_command(compared, rounds, tmp_path):
    """What a new user runs, from the start of the process to the files written."""
    models = "vit,resnet18"
    # In an empty folder: the package that runs is the installed one.
    command = [sys.executable, "-m", "vitprobe", "cka", "--models", models, "--output", "out"]

    def run():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    seconds = interleave({"wall time": run}, rounds(3), warm_up=0)["wall time"]
    assert len(list((tmp_path / "out").glob("cka-*.nc"))) == 3
    compared(
        table="The command, with imports, figures and files",
        name=f"vitprobe cka --models {models}",
        unit="s",
        rounds=len(seconds),
        values={"wall time": quartiles(seconds)},
        target="<= 60 s",
    )
