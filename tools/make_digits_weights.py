"""The weights that ship with vitprobe, `vit@digits` and `resnet20@digits`, from nothing.

    python tools/make_digits_weights.py          # about five minutes on two CPU cores

trains both on the digits with vitprobe's own recipes, keeps the epoch that validation chose, halves
the floats of the parameters (batch norm's statistics stay float32), and writes
vitprobe/models/weights/NAME-digits.safetensors, each with the test accuracy that it has as written.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from vitprobe import load_data, load_model
from vitprobe.data import PairedLoader
from vitprobe.training.files import ABOUT
from vitprobe.training.state import read_state

FOLDER = Path(__file__).resolve().parents[1] / "vitprobe" / "models" / "weights"
SEED = 0
RUNS = {  # name -> options beside the recipe's, and the test accuracy that is asked for
    "vit": (["--epochs", "30"], 0.97),
    "resnet20": (["--epochs", "20"], 0.98),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=FOLDER)
    folder = parser.parse_args().output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, (options, least) in RUNS.items():
        path = folder / f"{name}-digits.safetensors"
        accuracy = write(trained(name, options), path)
        print(f"{path}: {path.stat().st_size:,} bytes, test accuracy {accuracy:.2%}")
        if accuracy < least:
            path.unlink()
            raise SystemExit(f"{name}: {accuracy:.2%} is below {least:.0%}: change its recipe")


def trained(name: str, options: list[str]) -> dict:
    """The state of the epoch that `vitprobe train` chose by validation."""
    words = ["scratch", "--model", name, "--dataset", "digits", *options, "--seed", str(SEED)]
    with tempfile.TemporaryDirectory() as folder:  # the command holds no path
        words += ["--model_name", f"{name}-digits"]
        subprocess.run([sys.executable, "-m", "vitprobe", "train", *words], cwd=folder, check=True)
        return read_state(Path(folder, "checkpoints", f"{name}-digits.pt"))


def write(state: dict, path: Path) -> float:
    """Write the weights with all that is needed to use them; returns their test accuracy.

    The accuracy is measured on a file that lacks it, and the file is then written with it.
    """
    weights = {key: halved(key, value) for key, value in state["model_state_dict"].items()}
    about = {key: state[key] for key in (*ABOUT, "versions") if key in state}
    about |= {"seed": state["settings"]["seed"]}
    name = state["settings"]["model"]
    save(weights, about, path)
    accuracy = test_accuracy(f"{name}@{path}")
    save(weights, about | {"test_accuracy": accuracy}, path)
    return accuracy


def halved(key: str, value: torch.Tensor) -> torch.Tensor:
    """float16 for parameters; what batch norm counted and averaged as it is."""
    whole = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    return value.contiguous() if whole else value.half().contiguous()


def save(weights: dict, about: dict, path: Path) -> None:
    metadata = {key: json.dumps(value) for key, value in about.items()}
    path.write_bytes(safetensors.torch.save(weights, metadata={"format": "pt"} | metadata))


@torch.no_grad()
def test_accuracy(spec: str) -> float:
    """Share of the 360 test images of the digits that the model gets right."""
    model, data = load_model(spec), load_data("digits", split="test")
    right = 0
    for batch in PairedLoader(data, [model.transform]):
        right += (model(batch.images[0]).argmax(1) == batch.labels).sum().item()
    return right / len(data)


if __name__ == "__main__":
    main()
