"""Feature maps: seconds beside the bare forward pass, and of the command."""

import subprocess
import sys

import torch
from interleave import interleave, quartiles

import vitprobe


def test_beside_the_forward(compared, rounds):
    """One pass over 16 images, the survey included: two forwards of three and four images."""
    model = vitprobe.load_model("resnet20@digits").eval()
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def forward():
        with torch.no_grad():
            model(images)

    def ours():
        return vitprobe.features(model, images)

    assert ours()["top"].sizes["layer"] == 10
    seconds = interleave({"forward": forward, "vitprobe": ours}, rounds(7), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table="Time: vitprobe.features of ResNet-20, 16 images of 32 px",
        name="ten layers, eight channels of each",
        unit="s",
        rounds=len(seconds["forward"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole in each]),
    )


def test_the_command(compared, rounds, tmp_path):
    """From the start of the process to the files written."""
    line = "features --model resnet20@digits --index 3"
    command = [sys.executable, "-m", "vitprobe", *line.split(), "--output", "out"]

    def run():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    seconds = interleave({"wall time": run}, rounds(3), warm_up=0)["wall time"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    compared(
        table="The commands, with imports, figures and files",
        name=f"vitprobe {line}",
        unit="s",
        rounds=len(seconds),
        values={"wall time": quartiles(seconds)},
        target="<= 60 s",
    )
