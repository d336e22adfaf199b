"""Analyses and a training on the CPU and on the stand-in of `without_float64`: one JSON line.

`runs`: what -> [largest difference over largest value, operators that the stand-in computed];
`refused`: what it says where its rules are broken.
"""

import json
import sys
import warnings

import numpy as np
import torch
from without_float64 import registered, stand_in

import vitprobe
from vitprobe import ops
from vitprobe.training import train

FEW = {"examples": 12, "batch_size": 6}
CKA = ("vit@digits", "resnet20@digits")
SMALL = {"dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8, "dropout": 0.0}
AUGMENT = {"flip": 0.5, "jitter": 0.2, "rotation": 15.0, "erase": 0.25, "rand_augment": [1, 5]}


def trained(device: str) -> dict:
    options = {"model": "vit", "recipe": "digits", "fraction": 0.1, "epochs": 1, **SMALL}
    found = train(
        "scratch",
        **options,
        augment=AUGMENT | {"mixup": 0.2},
        device=device,
        output=sys.argv[1],
        model_name=device,
    )
    return {key: found.history[key] for key in ("train_loss", "val_loss", "test_loss")}


def dense(device: str) -> dict:
    p = torch.rand(2, 3, 17, 17, generator=torch.manual_seed(0)).softmax(-1)
    found = ops.dense_attention_statistics(p.to(place(device)), (4, 4), 1)
    return {key: getattr(found, key).cpu().numpy() for key in ("distance", "mass", "entropy")}


def operators(device: str) -> dict:
    x = torch.randn(9, 50, generator=torch.manual_seed(0)).to(place(device))
    gram = ops.gram(x)
    assert gram.device == ops.center_pack(gram).device == x.device
    return {
        "fused": ops.centered_gram(x).cpu().numpy(),
        "in two steps": ops.center_pack(gram, "biased").cpu().numpy(),
    }


def place(device: str) -> torch.device:
    return registered() if device == "mps" else torch.device(device)


RUNS = {
    "cka": lambda device: vitprobe.cka(*CKA, layers="blocks", device=device, **FEW),
    "rbf": lambda device: vitprobe.cka(
        *CKA, device=device, kernel="rbf", estimator="biased", layers="blocks", **FEW
    ),
    "attention": lambda device: vitprobe.attention(CKA[0], device=device, **FEW),
    "head_subsets": lambda device: vitprobe.head_subsets(*CKA, device=device, **FEW),
    "localization": lambda device: vitprobe.localization(CKA[0], device=device, **FEW),
    "receptive_field": lambda device: vitprobe.receptive_field(CKA[0], device=device, **FEW),
    "skips": lambda device: vitprobe.skips(CKA[0], device=device, **FEW),
    "maps": lambda device: vitprobe.maps(CKA[0], "digits", index=3, device=device),
    "train": trained,
    "dense": dense,
    "operators": operators,
}


def numbers(found) -> dict[str, np.ndarray]:
    held = found.data_vars if hasattr(found, "data_vars") else found
    arrays = {key: np.asarray(value) for key, value in held.items()}
    return {key: value for key, value in arrays.items() if value.dtype.kind == "f"}


def main() -> None:
    warnings.simplefilter("ignore")
    registered()  # before autograd counts the devices
    report = {}
    for what, run in RUNS.items():
        with stand_in() as mode:
            found = numbers(run("mps"))
        expected = numbers(run("cpu"))
        assert found.keys() == expected.keys() and found
        apart = 0.0
        for key, value in expected.items():
            assert np.array_equal(np.isnan(value), np.isnan(found[key])), (what, key)
            scale = np.nanmax(np.abs(value))
            apart = max(apart, float(np.nanmax(np.abs(found[key] - value)) / scale))
        report[what] = [apart, len(mode.operators)]
    refused = []
    with stand_in():
        x = torch.ones(3).to(registered())
        for wrong in (
            x.double,
            lambda: x.to("cpu", torch.float64),
            lambda: torch.zeros(3, dtype=torch.float64, device=x.device),
            lambda: torch.add(x, torch.ones(3)),
        ):
            try:
                wrong()
            except TypeError as error:
                refused.append(str(error))
    print(json.dumps({"runs": report, "refused": refused}))


if __name__ == "__main__":
    main()
