"""Files that the pages speak of, made small: what ships stands in for the user's own."""

import shlex
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import timm
import torch
from docs_pages import ROOT, blocks
from mnist_vit import MnistViT
from PIL import Image
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from terminal import run_here

from vitprobe.data import load_data
from vitprobe.models import build_model


@cache
def _checkpoint(spec: str) -> dict:
    model = build_model(spec)
    return {
        "model_state_dict": model.state_dict(),
        "architecture": model.provenance["architecture"],
    }


def trained(spec: str) -> Callable[[Path], None]:
    return lambda path: torch.save(_checkpoint(spec), path)


def random(name: str, seed: int) -> Callable[[Path], None]:
    """Weights alone."""

    def write(path: Path) -> None:
        state = build_model(name, seed=seed).state_dict()
        (save_file if path.suffix == ".safetensors" else torch.save)(state, path)

    return write


def bare(model: Callable[[], torch.nn.Module], *keys: str) -> Callable[[Path], None]:
    """The state of such a model under each key, or as it is."""

    def write(path: Path) -> None:
        states = {key: model().state_dict() for key in keys}
        torch.save(states or model().state_dict(), path)

    return write


def _rgb(images: np.ndarray) -> np.ndarray:
    return np.repeat(images[..., None], 3, axis=-1)


def images(split: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = load_data("digits", split=split)
        np.savez(path, images=_rgb(data.images), labels=data.labels)

    return write


def handwritten(path: Path) -> None:
    """28 x 28 and grey, as MNIST's."""
    data = load_data("digits")
    small = [np.asarray(Image.fromarray(image).resize((28, 28))) for image in data.images]
    np.savez(path, images=np.stack(small)[..., None], labels=data.labels)


def photo(path: Path) -> None:
    load_data("digits")[0][0].save(path)


def own_module(path: Path) -> None:
    shutil.copy(Path(__file__).with_name("mnist_vit.py"), path)


def shares(folder: Path) -> None:
    """What two machines leave of one run."""
    for share in ("1/2", "2/2"):
        _quietly(f"cka --models vit,vit@digits --layers blocks --output {folder} --shard {share}")


def pairs(folder: Path) -> None:
    _quietly(f"cka --models vit@digits,resnet20@digits,vit --layers blocks --output {folder}")


def result(folder: Path) -> None:
    _quietly(f"cka --models vit@digits,resnet20@digits --output {folder}")


def _activations() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"blocks.0": (96, 4, 8), "blocks.1": (96, 4, 8), "head": (96, 10)}
    return {name: random.normal(size=shape).astype("f") for name, shape in shapes.items()}


def features(path: Path) -> None:
    np.savez(path, **_activations())


def exported(path: Path) -> None:
    """As torch_cka does it."""
    names = {f"model{side}_layers": ["conv", "head"] for side in (1, 2)}
    names |= {f"model{side}_name": f"net {side}" for side in (1, 2)}
    names |= {f"dataset{side}_name": "digits" for side in (1, 2)}
    torch.save({"CKA": torch.tensor([[0.9, 0.4], [0.3, 0.7]]), **names}, path)


def study(page: str) -> Callable[[Path], None]:
    """The first on the page, of images that need no network, and no parts of them."""

    def write(path: Path) -> None:
        (text, *_) = (code for kind, code in blocks(ROOT / "docs" / page) if kind == "toml")
        text = text.replace('dataset = "mnist"', 'dataset = "digits"')
        path.write_text(text.replace("fractions = [0.1, 1.0]", "fractions = [1.0]"))

    return write


def parts(path: Path) -> None:
    path.write_text(
        '[study]\ndataset = "digits"\nfractions = [0.1, 1.0]\n[[model]]\nmodel = "vit"\n'
    )


def _quietly(line: str) -> None:
    _, err, code = run_here(shlex.split(line))
    assert not code, err


def _tiny():
    return timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4, num_classes=10)


MODELS = ("vit", "resnet20")
VIT, RESNET = trained("vit@digits"), trained("resnet20@digits")
TEST, TRAIN = images("test"), images("train")
CIFAR = {"cifar10-test1000.npz": TEST, "resnet20-12fca82f.th": RESNET}
POOLS = {"checkpoints/cifar-cls.pt": VIT, "checkpoints/cifar-mean.pt": VIT}
FILES = {  # page: file: how it is made
    "README": {
        **dict.fromkeys(("a.pt", "b.pt", "mine.pt", "trained.pth"), VIT),
        "mine.ckpt": bare(_tiny, "state_dict", "ema"),
        "weights.th": RESNET,
        "images.npz": TEST,
        "a.npz": features,
        "b.npz": features,
        "results": shares,
    },
    "cluster": {"results": shares},
    "compare": {"runs/small-0.pt": VIT, "runs/small-1.pt": VIT, "results": pairs},
    "compare-training": {"my-study.toml": study("compare-training.md")},
    "data-size": {"my-study.toml": parts},
    "finetuning": {"mnist-test3000.npz": handwritten},
    "localization": {**CIFAR, "cifar10-train4000.npz": TRAIN},
    "model-size": {"my-study.toml": study("model-size.md")},
    "models-and-data": {"mine.pt": bare(_tiny)},
    "pretrained": {
        **CIFAR,
        "mnist_vit.py": own_module,
        "mnist_vit.pth": bare(MnistViT),
        "mnist-test3000.npz": handwritten,
        "photo.jpg": photo,
    },
    "probe": {
        **CIFAR,
        **POOLS,
        "cifar10-train4000.npz": TRAIN,
        "test.npz": TEST,
        "train.npz": TRAIN,
    },
    "receptive-field": CIFAR,
    "results": {"runs/epoch1.pt": VIT, "runs/epoch30.pt": VIT},
    "seeds-and-checkpoints": {
        **{f"runs/{name}-{seed}.pt": random(name, seed) for name in MODELS for seed in range(3)},
        **{
            f"runs/vit-{seed}.epoch-{epoch:03}.safetensors": random("vit", 10 * epoch + seed)
            for seed in range(3)
            for epoch in (1, 2, 4, 8)
        },
    },
    "skips": {**CIFAR, **POOLS},
    "training": {"run.toml": study("training.md")},
    "stored-features": {
        "a.npz": features,
        "b.npz": features,
        "b.safetensors": lambda path: save_numpy(_activations(), path),
        "resnet20.npz": features,
        "cka.pt": exported,
        "matrix.npy": lambda path: np.save(path, np.array([[0.9, 0.4], [0.3, 0.7]])),
        "results": result,
    },
}
