"""What would make a study wrong without a word: refused, or told apart."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import load_model
from vitprobe.training import train
from vitprobe.training.diverged import Diverged
from vitprobe.training.loop import Loop
from vitprobe.training.parts import open_parts
from vitprobe.training.resolve import resolve

TINY = {
    "model": "vit",
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "mlp_dim": 32,
    "patch_size": 8,
    "epochs": 1,
    "device": "cpu",
}


class Frozen(nn.Module):
    """A weight that the model freezes itself, dropout, and two answers while it trains."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.fixed = nn.Parameter(torch.ones(3), requires_grad=False)
        self.norm, self.head = nn.BatchNorm2d(3), nn.Linear(3, num_classes)

    def forward(self, x):
        answer = self.head(self.norm(x * self.fixed[:, None, None]).mean((2, 3)))
        return (answer, -answer) if self.training else answer


class Sequence(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, x):
        return {"logits": self.head(x.mean((2, 3)))}


@pytest.fixture
def digits_of(few_digits, tmp_path):
    """Options of a quick run on 120 digits, whose files lie in `out`."""
    return {
        "dataset": f"npz:{few_digits}/train.npz",
        "test_dataset": f"npz:{few_digits}/test.npz",
        "output": str(tmp_path / "out"),
    }


def test_trained_images_are_no_test(few_digits):
    same = f"npz:{few_digits}/../{few_digits.name}/train.npz"
    data = {"dataset": f"npz:{few_digits}/train.npz", "test_dataset": same}
    with pytest.raises(InputError, match="holds the very images of .* that are trained on"):
        open_parts(resolve("scratch", data))


def test_a_test_without_labels(few_digits, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "1.png")
    data = {"dataset": f"npz:{few_digits}/train.npz", "test_dataset": f"imagefolder:{tmp_path}"}
    with pytest.raises(InputError, match="images without a label"):
        open_parts(resolve("scratch", data))


def test_another_start_is_another_run(digits_of):
    a, b = (train("scratch", **TINY, **digits_of, seed=s, model_name=f"start{s}") for s in (0, 1))
    again = {**digits_of, "model_name": "tuned", "epochs": 1, "device": "cpu", "resume": True}
    train("finetune", checkpoint=str(a.path), **again)
    with pytest.raises(InputError, match="weights to start from"):
        train("finetune", checkpoint=str(b.path), **again)
    moved = a.path.rename(a.path.with_name("moved.pt"))
    train("finetune", checkpoint=str(moved), **again)  # the same file elsewhere


def test_a_run_does_not_replace_what_it_starts_from(digits_of):
    found = train("scratch", **TINY, **digits_of, model_name="x")
    before = found.path.read_bytes()
    with pytest.raises(InputError, match="would be replaced by it"):
        train("finetune", checkpoint=str(found.path), model_name="x", **digits_of)
    assert found.path.read_bytes() == before


def test_class_numbers_are_no_names(digits_of):
    """CIFAR-10 and digits as .npz both have classes 0 to 9, and are not the same classes."""
    found = train("scratch", **TINY, **digits_of)
    state = torch.load(found.path, weights_only=True)
    state["settings"]["dataset"] = "npz:cifar10.npz"
    torch.save(state, found.path.with_name("other.pt"))
    heads = {}
    for name in ("other.pt", found.path.name):
        options = {
            **digits_of,
            "model_name": f"tuned-{name}",
            "epochs": 1,
            "device": "cpu",
            "lr": 1e-12,
        }
        tuned = train("finetune", checkpoint=str(found.path.with_name(name)), **options)
        heads[name] = torch.load(tuned.path, weights_only=True)["model_state_dict"]["head.weight"]
    start = state["model_state_dict"]["head.weight"]
    assert torch.allclose(heads[found.path.name], start, atol=1e-6)
    assert not torch.allclose(heads["other.pt"], start, atol=1e-3)


def test_a_weight_that_is_frozen_stops_no_dropout_or_norm(digits_of):
    found = train("scratch", model=f"{__name__}:Frozen", **digits_of, epochs=1, device="cpu")
    state = torch.load(found.path, weights_only=True)
    assert state["trained"] == "all weights but 1 that the model freezes itself"
    weights = state["model_state_dict"]
    assert weights["fixed"].tolist() == [1, 1, 1]
    assert weights["norm.num_batches_tracked"] > 0 and weights["norm.running_mean"].abs().max() > 0


def test_an_answer_that_is_no_tensor(digits_of):
    with pytest.raises(InputError, match="this model gives dict, where a tensor"):
        train("scratch", model=f"{__name__}:Sequence", **digits_of, epochs=1, device="cpu")


def test_the_image_size_is_that_of_training(digits_of):
    options = {**digits_of, "epochs": 1, "device": "cpu", "image_size": 16, "fraction": 0.5}
    found = train("scratch", model="resnet20", **options)
    model = load_model(found.spec)
    assert model.transform.image_size == (16, 16) and model.provenance["image_size"] == 16


def test_mean_pooling_has_no_class_token(digits_of):
    found = train("scratch", **TINY, **digits_of, pool="mean")
    state = torch.load(found.path, weights_only=True)
    assert "cls_token" not in state["model_state_dict"] and state["architecture"]["pool"] == "mean"
    assert load_model(found.spec).pos_embed.shape[1] == 16  # patches alone
    with pytest.raises(InputError, match="pool"):
        train("finetune", checkpoint=str(found.path), pool="cls", **digits_of)
    tuned = {**digits_of, "recipe": "vit-gap", "epochs": 1, "device": "cpu", "model_name": "tuned"}
    cls = train("scratch", **TINY, **digits_of, model_name="cls")
    assert train("finetune", checkpoint=str(cls.path), **tuned).settings.pool is None


def test_resnet_trains_resnets():
    with pytest.raises(InputError, match="resnet trains a ResNet, and vit is none"):
        resolve("resnet", {"model": "vit"})
    assert resolve("resnet", {"model": "lambda_resnet26"}).model == "lambda_resnet26"


def test_too_little_memory_is_one_line(digits_of, monkeypatch):
    def fail(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nDetails")

    monkeypatch.setattr(Loop, "train_step", fail)
    with pytest.raises(Diverged, match="out of GPU memory .*smaller batch_size than 32") as error:
        train("scratch", **TINY, **digits_of)
    assert "\n" not in str(error.value)
