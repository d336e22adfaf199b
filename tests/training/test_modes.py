"""What each mode trains, what a checkpoint holds, and what may not have a say in a run."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

import vitprobe
from vitprobe.training import train
from vitprobe.training.loop import Loop
from vitprobe.training.parts import open_parts
from vitprobe.training.resolve import resolve

VIT = {"model": "vit", "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8}
RESNET = {"model": "user_training_models:Normed"}
QUICK = {"recipe": "adam-plain", "lr": 0.01, "epochs": 2, "batch_size": 20, "device": "cpu"}


@pytest.fixture
def run(few_digits, tmp_path):
    """run(mode, name, ...) -> TrainingResult."""
    usual = {
        **QUICK,
        "dataset": f"npz:{few_digits}/train.npz",
        "test_dataset": f"npz:{few_digits}/test.npz",
        "output": str(tmp_path / "out"),
    }

    def trained(mode, name, **options):
        return train(mode, **{**usual, "model_name": name, **options})

    return trained


@pytest.fixture
def first_weights(monkeypatch):
    """The weights at each run's beginning, in order."""
    found, start = [], Loop.run

    def noted(self):
        found.append({k: v.clone() for k, v in self.model.state_dict().items()})
        return start(self)

    monkeypatch.setattr(Loop, "run", noted)
    return found


def load(path):
    return torch.load(path, weights_only=True)


def classes(few_digits, path, shift):
    """The digits' files with other classes: 0..9 become shift..9 + shift."""
    for split in ("train", "test"):
        with np.load(few_digits / f"{split}.npz") as file:
            np.savez(path / f"{split}.npz", images=file["images"], labels=file["labels"] + shift)
    return {"dataset": f"npz:{path}/train.npz", "test_dataset": f"npz:{path}/test.npz"}


def changed(before, after):
    assert set(before) == set(after)
    return {key for key in before if not torch.equal(before[key], after[key])}


@pytest.mark.parametrize("model", [VIT, RESNET], ids=["vit", "cnn"])
def test_finetune_goes_on_from_all_weights_of_the_same_classes(run, first_weights, model):
    trained = run("scratch", "first", **model)
    tuned = run("finetune", "second", checkpoint=str(trained.path), model=model["model"])
    weights = load(trained.path)["model_state_dict"]
    assert changed(weights, first_weights[1]) == set()  # the classifier is kept
    assert changed(weights, load(tuned.last)["model_state_dict"]) == set(weights)
    assert load(tuned.path)["trained"] == "all weights"


@pytest.mark.parametrize("model, head", [(VIT, "head."), (RESNET, "classifier.")])
def test_finetune_draws_the_classifier_anew_for_other_classes(
    run, first_weights, few_digits, tmp_path, model, head
):
    trained = run("scratch", "first", **model)
    other = classes(few_digits, tmp_path, 2)
    tuned = run("finetune", "second", checkpoint=str(trained.path), model=model["model"], **other)
    weights = load(trained.path)["model_state_dict"]
    new = first_weights[1]
    body = {key: value for key, value in new.items() if not key.startswith(head)}
    assert len(new) - len(body) == 2
    assert changed(body, {key: weights[key] for key in body}) == set()
    assert new[head + "weight"].shape[0] == 12 and weights[head + "weight"].shape[0] == 10
    assert load(tuned.path)["class_names"] == [str(i) for i in range(12)]


@pytest.mark.parametrize("model, head", [(VIT, "head."), (RESNET, "classifier.")])
def test_a_probe_trains_the_classifier_alone(run, first_weights, model, head):
    trained = run("scratch", "first", **model)
    probed = run("probe", "second", checkpoint=str(trained.path), model=model["model"])
    weights = load(trained.path)["model_state_dict"]
    assert changed(weights, first_weights[1]) == {head + "weight", head + "bias"}  # drawn anew
    after = load(probed.last)
    assert changed(first_weights[1], after["model_state_dict"]) == {head + "weight", head + "bias"}
    assert after["trained"] == "only the classifier"
    groups = after["optimizer_state_dict"]["param_groups"]
    assert sum(len(group["params"]) for group in groups) == 2


def test_what_a_checkpoint_holds(run, vitprobe_run, tiny, tmp_path):
    result = vitprobe_run(*tiny, "--output", tmp_path / "out", cwd=tmp_path)
    assert result.code == 0, result.err
    best, last = (load(tmp_path / "out" / f"run{end}") for end in (".pt", ".last.pt"))
    assert list(best) == list(last)
    assert (last["epoch"], last["step"], last["finished"]) == (3, 0, True)
    assert best["epoch"] == 1 + min(
        range(3),
        key=lambda i: (-last["history"]["val_accuracy"][i], last["history"]["val_loss"][i]),
    )
    for state in (best, last):
        assert all(len(values) == state["epoch"] for values in state["history"].values())
        for key in ("train_loss", "test_loss", "accuracy"):
            assert state[key] == state["history"][key] and len(state[key]) == state["epoch"]
        assert state["model_name"] == "run"
        assert state["command"].startswith("vitprobe train scratch --recipe ")
        assert state["settings"]["dim"] == 16 and state["settings"]["epochs"] == 3
        assert state["architecture"]["patch_size"] == 8
        assert state["class_names"] == [str(i) for i in range(10)]
        assert state["image_size"] == [32, 32]
        assert [len(state["normalization"][key]) for key in ("mean", "std")] == [3, 3]
        assert state["images"] == {"train": 110, "validation": 10, "test": 40}
        assert set(state["versions"]) == {"vitprobe", "torch", "timm"}
        assert set(state["rng"]) == {"torch", "cuda", "numpy", "python"}
        assert set(state["model_state_dict"]) == set(state["raw_state_dict"])
        assert state["optimizer_state_dict"]["state"] and state["losses"] == [0.0, 0]
        assert (
            state["format"] == 1 and state["seconds"] == 0.0 and state["trained"] == "all weights"
        )
    assert last["history"]["epoch"] == [1, 2, 3]
    assert all(0 < loss < 5 for loss in last["train_loss"])
    assert changed(last["model_state_dict"], last["raw_state_dict"]) != set()  # averaged, and not
    with safe_open(tmp_path / "out" / "run.safetensors", framework="pt") as file:
        for key in file.keys():  # noqa: SIM118
            assert torch.equal(file.get_tensor(key), best["model_state_dict"][key])


def test_cka_reads_it(run, vitprobe_run, few_digits, tmp_path):
    trained = run("scratch", "run", **VIT)
    held = load(trained.path)
    model = vitprobe.load_model(trained.spec)
    assert model.transform.mean == pytest.approx(held["normalization"]["mean"])
    assert model.transform.std == pytest.approx(held["normalization"]["std"])
    assert model.provenance["num_classes"] == 10 and model.transform.image_size == (32, 32)
    assert changed(model.state_dict(), held["model_state_dict"]) == set()
    ended = vitprobe_run(
        *(
            "cka",
            "--models",
            f"{trained.spec},{trained.spec}",
            "--dataset",
            f"npz:{few_digits}/test.npz",
        ),
        *("--device", "cpu", "--output", tmp_path / "cka"),
        cwd=tmp_path,
    )
    assert ended.code == 0, ended.err
    assert list((tmp_path / "cka").glob("*.nc"))


def test_the_test_images_choose_nothing(run, few_digits, tmp_path):
    with np.load(few_digits / "test.npz") as file:
        wrong = (file["labels"] + 1) % 10
        np.savez(tmp_path / "wrong.npz", images=file["images"][::-1], labels=wrong)
    varied = {**VIT, "epochs": 4}
    one = run("scratch", "one", **varied)
    other = run("scratch", "two", test_dataset=f"npz:{tmp_path}/wrong.npz", **varied)
    assert one.history["test_loss"] != other.history["test_loss"]
    assert one.history["val_loss"] == other.history["val_loss"]
    assert one.best_epoch == other.best_epoch
    for end in ("path", "last"):
        weights = (load(getattr(result, end))["model_state_dict"] for result in (one, other))
        assert changed(*weights) == set()


def test_the_parts_have_no_image_in_common(few_digits):
    """Also where the test part is cut from the same set, and with every seed the same test."""
    tests = []
    for seed in (0, 1):
        settings = resolve("scratch", {"dataset": f"npz:{few_digits}/train.npz", "seed": seed})
        parts = open_parts(settings)
        rows = [set(part.rows.tolist()) for part in (parts.train, parts.validation, parts.test)]
        assert sum(map(len, rows)) == len(set.union(*rows)) == 120
        assert all(rows)
        tests.append(rows[2])
    assert tests[0] == tests[1]
    digits = open_parts(resolve("scratch", {"dataset": "digits"}))
    seen = {
        name: {image.tobytes() for image in part.data.images[part.rows.numpy()]}
        for name, part in (
            ("train", digits.train),
            ("val", digits.validation),
            ("test", digits.test),
        )
    }
    assert not seen["train"] & seen["test"] and not seen["val"] & seen["test"]
    assert not seen["train"] & seen["val"]


@pytest.fixture
def hundred_classes(tmp_path):
    """A set like CIFAR-100, sorted by class: every image's pixels are its label."""
    labels = np.repeat(np.arange(100), 10)
    images = np.broadcast_to(labels[:, None, None, None], (1000, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "hundred.npz", images=images, labels=labels)
    return f"npz:{tmp_path}/hundred.npz"


def test_labels_of_a_hundred_classes_arrive_in_mixed_batches(run, hundred_classes, monkeypatch):
    batches, step = [], Loop.train_step

    def noted(self, batch):
        batches.append((batch.images, batch.targets))
        return step(self, batch)

    monkeypatch.setattr(Loop, "train_step", noted)
    result = run(
        "scratch", "run", dataset=hundred_classes, test_dataset=None, batch_size=50, **RESNET
    )
    held = load(result.path)
    mean, std = (held["normalization"][key][0] for key in ("mean", "std"))
    assert held["model_state_dict"]["classifier.weight"].shape == (100, 8)
    counts = torch.zeros(100, dtype=torch.int64)
    for images, targets in batches:
        found = ((images * std + mean) * 255).mean((1, 2, 3)).round().long()
        assert torch.equal(found, targets)
        counts += torch.bincount(targets, minlength=100)
        # 50 of 100 classes with equal chance are about 40 different ones; sorted, they would be 8
        assert len(targets.unique()) > len(targets) / 2
    assert counts.min() == counts.max() == 2 * 7  # 10, less two to test and one to validate


@pytest.mark.parametrize(
    ("model", "block"), [(VIT | {"depth": 2}, 1), ({"model": "resnet20"}, 3)], ids=["vit", "cnn"]
)
def test_a_model_without_a_skip_is_trained_and_read_as_one(run, model, block):
    trained = run("scratch", "cut", **model, remove_skip=block, epochs=1)
    assert load(trained.path)["architecture"]["remove_skip"] == block
    images = torch.randn(2, 3, 32, 32)
    read = {end: vitprobe.load_model(f"{model['model']}@{trained.path.with_suffix(end)}")
            for end in (".pt", ".safetensors")}  # fmt: skip
    assert torch.equal(read[".pt"](images), read[".safetensors"](images))
    state = load(trained.path)
    del state["architecture"]["remove_skip"]
    torch.save(state, trained.path)
    intact = vitprobe.load_model(trained.spec)
    assert not torch.allclose(intact(images), read[".pt"](images))
    again = vitprobe.load_model(f"{model['model']}(remove_skip={block})@{trained.path}")
    assert torch.equal(again(images), read[".pt"](images))


def test_what_goes_on_from_a_model_without_a_skip_has_none_either(run):
    first = run("scratch", "first", **VIT, remove_skip=0, epochs=1)
    tuned = run("finetune", "second", model="vit", checkpoint=str(first.path), epochs=1)
    assert load(tuned.path)["architecture"]["remove_skip"] == 0
    with pytest.raises(vitprobe.errors.InputError, match="without the skips of block 0, but"):
        run("finetune", "third", model="vit(remove_skip=3)", checkpoint=str(first.path))
    with pytest.raises(vitprobe.errors.InputError, match="compile.* does not go with remove_skip"):
        run("finetune", "fourth", model="vit", checkpoint=str(first.path), compile=True)
