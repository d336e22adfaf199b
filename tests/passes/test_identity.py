"""A partial of another run is refused, with what differs; what is none, in one line."""

import json
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from pass_work import images, vit
from PIL import Image
from safetensors import safe_open
from torch.utils.data import DataLoader, Dataset, TensorDataset

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.errors import InputError
from vitprobe.passes import partial
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


class Pixels(Dataset):
    """Images whose names tell nothing."""

    def __init__(self, count=60):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Image.fromarray(np.full((16, 16, 3), index, dtype=np.uint8)), 0


class Stop(Progress):
    """Ends the run after two batches."""

    seen = 0

    def advance(self, done, error=None):
        self.seen += 1
        if self.seen == 2:
            raise KeyboardInterrupt


@pytest.fixture
def begun(go, path):
    """begun(**of_go): two batches are done; go(...) must leave the file as it is."""

    def begin(**how):
        with pytest.raises(KeyboardInterrupt):
            go(told=Stop(), **how)
        return path.read_bytes()

    return begin


def test_the_same_run_goes_on(go, path, begun):
    begun()
    assert len(partial.read_partial(path).done) == 2
    assert go()[0].attrs["examples"] == 40
    assert len(partial.read_partial(path).done) == 10


def changed():
    model = vit()
    with torch.no_grad():
        model.head.bias[0] += 1
    return model


@pytest.mark.parametrize(
    "how, differs",
    [
        ({"model": changed}, "model a weights sha256 "),
        ({"reader": lambda: CKAReader("blocks")}, "layers a all, now blocks"),
        ({"reader": lambda: CKAReader(tokens="cls")}, "tokens a all, now cls"),
        ({"reader": lambda: CKAReader(kernel="rbf")}, "kernel linear, now rbf"),
        ({"reader": lambda: CKAReader(estimator="biased")}, "estimator unbiased, now biased"),
        ({"reader": AttentionReader}, "analyses cka, now attention"),
        ({"data": lambda: images(44)}, "dataset tensor 40x3x16x16, now tensor 44x3x16x16"),
        ({"batch_size": lambda: 8}, "batch size 4, now 8"),
        ({"examples": lambda: 36}, "examples planned 40, now 36"),
        ({"seed": lambda: 1}, "seed 0, now 1"),
        ({"precision": lambda: "bf16"}, "dtype fp32, now bf16"),
        ({"skip_bad_images": lambda: True}, "skip bad images 0, now 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_differs_is_said(go, path, begun, how, differs):
    held = begun()
    with pytest.raises(InputError, match=f"{path} is of another run.*{differs}") as error:
        go(**{name: make() for name, make in how.items()})
    assert "\n" not in str(error.value)
    assert path.read_bytes() == held


def test_it_is_said_before_any_forward(go, begun):
    begun()
    model = changed()
    model.forward = None  # would fail
    with pytest.raises(InputError, match="weights sha256"):
        go(model=model)


def shuffled(seed):
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(images(40)), 4, shuffle=True, generator=generator)


@pytest.mark.parametrize(
    "one, other, differs",
    [
        ({"data": lambda: Pixels()}, {"data": lambda: Pixels(61)}, "data images 60, now 61"),
        ({"data": lambda: shuffled(1)}, {"data": lambda: shuffled(2)}, "order sha256 "),
        (
            {"data": lambda: DataLoader(TensorDataset(images(40)), 4)},
            {"data": lambda: DataLoader(TensorDataset(images(40)), 4, sampler=range(39, -1, -1))},
            "order sha256 none, now ",
        ),
        (
            {"data": lambda: Pixels(), "mean": lambda: 0.5, "std": lambda: 0.5},
            {"data": lambda: Pixels(), "mean": lambda: 0.50001, "std": lambda: 0.5},
            "mean 0.5, now 0.50001",
        ),
        (
            {"data": lambda: Pixels(), "order": lambda: "seeded"},
            {"data": lambda: Pixels(), "order": lambda: "file"},
            "order seeded, now file",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_images_differ(go, path, begun, one, other, differs):
    one = {"examples": lambda: 40, **one}
    held = begun(**{name: make() for name, make in one.items()})
    with pytest.raises(InputError, match=f"is of another run.*{differs}"):
        go(**{name: make() for name, make in {"examples": lambda: 40, **other}.items()})
    assert path.read_bytes() == held


def test_a_loader_with_a_seed_goes_on(go, begun):
    begun(data=shuffled(1))
    (found,) = go(data=shuffled(1))
    (whole,) = go(data=shuffled(1), keeper=Keeper())
    assert found.drop_attrs(deep=False).identical(whole.drop_attrs(deep=False))


def test_another_version_of_the_estimator(go, path, begun, monkeypatch):
    held = begun()
    monkeypatch.setattr(CKAReader, "version", CKAReader.version + 1)
    with pytest.raises(InputError, match="version of cka's estimator 1, now 2"):
        go()
    assert path.read_bytes() == held


def test_labels_and_names_of_files_tell_named_data_apart(go, begun, tmp_path):
    folder = tmp_path / "images"
    for k in range(12):
        place = folder / "ab"[k % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 20 * k, dtype=np.uint8)).save(place / f"{k}.png")
    begun(data=f"imagefolder:{folder}", split="train")
    os.rename(folder / "a" / "0.png", folder / "a" / "00.png")
    with pytest.raises(InputError, match="data sha256"):
        go(data=f"imagefolder:{folder}", split="train")


def rewritten(path, change):
    """The file with other words in it, whole as far as it can tell."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["vitprobe"])
        states = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about, states)
    text = json.dumps(about)
    metadata = {"vitprobe": text, "sha256": partial._digest(text, states)}
    path.write_bytes(safetensors.torch.save(states, metadata=metadata))


@pytest.mark.parametrize(
    "spoil, why",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cut short"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cut short"),
        (lambda path: path.write_bytes(b""), "cut short"),
        (lambda path: path.write_text("text"), "no partial of vitprobe"),
        (
            lambda path: path.write_bytes(safetensors.torch.save({"x": torch.zeros(3)})),
            "no partial of vitprobe",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x55"),
            "damaged",
        ),
        (
            lambda path: rewritten(path, lambda about, _: about.update(format=0)),
            "of another version of vitprobe",
        ),
        (
            lambda path: rewritten(path, lambda about, _: about.update(done="0-x")),
            "no numbers of batches",
        ),
        (lambda path: rewritten(path, lambda about, _: about.pop("parts")), "parts"),
        (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_no_partial(go, path, begun, spoil, why):
    begun()
    spoil(path)
    held = path.is_file() and path.read_bytes()
    with pytest.raises(InputError, match=why) as error:
        go()
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert (path.is_file() and path.read_bytes()) == held
