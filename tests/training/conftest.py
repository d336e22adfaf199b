"""Images that augmentation is tried on; small runs that start quickly and can be killed."""

import numpy as np
import pytest
import torch

from vitprobe.data import load_data


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """Folder with 120 digits of mixed classes in train.npz, and 40 in test.npz."""
    folder = tmp_path_factory.mktemp("few-digits")
    for split, count in (("train", 120), ("test", 40)):
        data = load_data("digits", split=split)
        np.savez(folder / split, images=data.images[:count], labels=data.labels[:count])
    return folder


@pytest.fixture
def tiny(few_digits, tmp_path):
    """Words of a run on them: a ViT of 5,802 weights, dropout, augmentation, mixing, averaged
    weights; 7 steps an epoch, 3 epochs, checkpoints every 20 ms."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'batch_size = 16\nepochs = 3\noptimizer = "adamw"\nlr = 1e-2\nscheduler = "cosine"\n'
        "warmup = 0.1\nema_decay = 0.9\nclip_grad = 1.0\nlabel_smoothing = 0.1\n"
        "[augment]\nrotation = 10.0\ntranslate = 0.1\nerase = 0.25\nmixup = 0.2\n"
    )
    vit = "--model vit --dim 16 --depth 1 --heads 2 --mlp_dim 32 --patch_size 8 --dropout 0.1"
    run = f"train scratch --recipe {recipe} --save_every 0.02 -mn run --device cpu"
    data = f"--dataset npz:{few_digits}/train.npz --test_dataset npz:{few_digits}/test.npz"
    return f"{run} {data} {vit}".split()


@pytest.fixture
def noise():
    """noise(n, height, width) -> uint8 (n, 3, height, width), the same for the same sizes."""

    def make(n, height=32, width=32):
        generator = torch.Generator().manual_seed(n)
        return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)

    return make
