"""Probes on every layer beside the bare forward, and the memory that they take above the model."""

import json
import subprocess
import sys

import pytest
import torch
from interleave import interleave, quartiles
from torch.utils.data import TensorDataset

import vitprobe
from vitprobe.models import load_model

TIME = "Time: vitprobe.probe, ridge on every layer, solving and survey included"
MEMORY = "Memory of vitprobe.probe above the model, its images and a bare forward"


def made(examples, side, classes=10):
    """Images that say a little of their class, half to train on."""
    torch.manual_seed(0)
    labels = torch.arange(examples) % classes
    images = torch.randn(examples, 3, side, side) + labels[:, None, None, None] / classes
    half = examples // 2
    return [TensorDataset(images[part], labels[part]) for part in (slice(half), slice(half, None))]


@pytest.mark.parametrize(("spec", "examples"), [("resnet18", 512), ("vit", 512)])
def test_probes_beside_the_forward(compared, rounds, spec, examples):
    torch.manual_seed(0)
    model = load_model(spec).eval()
    train, test = made(examples, 32)

    def forward():
        with torch.no_grad():
            for part in (train, test):
                for images in part.tensors[0].split(128):
                    model(images)

    def ours():
        return vitprobe.probe(model, test, train=train, batch_size=128)

    assert ours()["accuracy"].notnull().all()
    seconds = interleave({"forward": forward, "vitprobe": ours}, rounds(5), warm_up=1)
    each = zip(*seconds.values(), strict=True)
    compared(
        table=TIME,
        name=f"{spec}, {examples} images of 32 px",
        unit="s",
        rounds=len(seconds["forward"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / forward",
        ratio=quartiles([whole / bare for bare, whole in each]),
        target="<= 3",
    )


def kilobytes(name: str) -> int:
    """A line of /proc/self/status."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:"))


def peak(spec: str, examples: int, side: int) -> dict:
    """In this process: MB above what is resident after a bare forward of one batch, and the sums'
    share of it. Linux."""
    from vitprobe.data.images import ArrayImages
    from vitprobe.data.joined import JoinedImages
    from vitprobe.input_options import InputOptions
    from vitprobe.passes.inputs import prepare
    from vitprobe.passes.room import bytes_of_sums
    from vitprobe.passes.run import run

    torch.manual_seed(0)
    model = load_model(spec).eval()
    labels = (torch.arange(examples) % 10).numpy()
    shape = (examples, side, side, 3)
    images = torch.randint(256, shape, dtype=torch.uint8).numpy()
    whole = ArrayImages("made", "train", images, labels, list("0123456789"))
    cut = examples * 5 // 6  # as of CIFAR-10
    data = JoinedImages(whole, whole, range(cut), range(cut, examples))
    with torch.no_grad():
        model(torch.randn(128, 3, side, side))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    before = kilobytes("VmRSS")
    reader = vitprobe.ProbeReader()
    run(prepare([model], data, InputOptions(batch_size=128)), [reader])
    return {
        "peak": (kilobytes("VmHWM") - before) / 1e3,
        "sums": bytes_of_sums(reader.metrics) / 1e6,
        "layers": len(reader.read[0]),
    }


def test_memory(compared):
    """10,000 images of 8 px: layers have as many features as at 32 px, and need the same sums; the
    forward, whose activations are larger then, is not in the number."""
    words = [sys.executable, __file__, "resnet18", "10000", "8"]
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert found["layers"] == 60
    compared(
        table=MEMORY,
        name="resnet18, 60 layers, 10,000 images",
        unit="MB",
        rounds=1,
        values={key: quartiles([found[key]]) for key in ("sums", "peak")},
        ratio_of="peak / sums",
        ratio=quartiles([found["peak"] / found["sums"]]),
        target="peak < 2,000 MB",
    )


if __name__ == "__main__":
    print(json.dumps(peak(sys.argv[1], *map(int, sys.argv[2:]))))
