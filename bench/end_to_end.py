"""CKA of all layers of two real models: the bare forward pass, pytorch-cka and vitprobe.

    python bench/end_to_end.py            times, interleaved in this process
    python bench/end_to_end.py memory     peak memory, a process for each way

ResNet-18 (CIFAR stem, in-place off, since pytorch-cka compares tensors after they were overwritten)
against vit_tiny_patch16_224 (32 px, patch 4); every module that fires; 2 batches of 128 images.
"""

import json
import resource
import subprocess
import sys

import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import vitprobe

BATCHES, BATCH = 2, 128


def models() -> tuple[nn.Module, nn.Module]:
    """The two networks, random weights, evaluation mode."""
    resnet = vitprobe.load_model("resnet18", image_size=32)
    for module in resnet.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10)
    return resnet, vit.eval()


def images() -> torch.Tensor:
    """(256, 3, 32, 32) float32."""
    return torch.randn(BATCHES * BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def firing(model: nn.Module) -> list[str]:
    """Names of the modules that give a tensor; pytorch-cka stops at any other."""
    fired = []
    handles = [
        module.register_forward_hook(
            lambda _, __, out, name=name: fired.append(name) if torch.is_tensor(out) else None
        )
        for name, module in model.named_modules()
        if name
    ]
    with torch.no_grad():
        model(images()[:2])
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys(fired))


def ways() -> dict:
    """The three things compared, each a function without arguments."""
    from cka import compute_cka

    pair, batch = models(), images()
    layers = [firing(model) for model in pair]
    loader = DataLoader(TensorDataset(batch), batch_size=BATCH)

    def forward():
        with torch.no_grad():
            for part in batch.split(BATCH):
                for model in pair:
                    model(part)

    def peer():
        return compute_cka(
            *pair, loader, layers=layers[0], model2_layers=layers[1], device="cpu", progress=False
        )

    def ours():
        return vitprobe.cka(*pair, batch, layers="modules", batch_size=BATCH)

    return {"forward": forward, "pytorch-cka": peer, "vitprobe": ours}


def peak_megabytes(name: str) -> float:
    """Peak resident memory of a new process that does one of the three things once."""
    code = f"import end_to_end; print(end_to_end.peak_here({name!r}))"
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=__file__.rpartition("/")[0] or ".",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(output.split()[-1])


def peak_here(name: str) -> float:
    """Peak resident memory of this process after one of the three things, in megabytes."""
    ways()[name]()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def times(rounds: int = 5) -> dict:
    """Median seconds of the three, and the ratio (T - F) / (P - F)."""
    from interleave import interleave

    seconds = interleave(ways(), rounds)
    forward, peer, ours = seconds.values()
    return seconds | {"(T - F) / (P - F)": (ours - forward) / (peer - forward)}


def memory() -> dict:
    """Peak megabytes of the three, and the ratio of what is above the bare forward pass."""
    peaks = {name: peak_megabytes(name) for name in ("forward", "pytorch-cka", "vitprobe")}
    forward, peer, ours = peaks.values()
    return peaks | {"above the forward, ours / peer": (ours - forward) / (peer - forward)}


if __name__ == "__main__":
    print(json.dumps(memory() if sys.argv[1:] == ["memory"] else times(), indent=1))
