"""Matrices of torch_cka, of pytorch-cka and of nobody in particular, as results."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

VALUES = torch.tensor([[1.0, 0.25, -0.01], [0.5, 0.75, 0.125]])
EXPORTED = {  # as torch_cka 0.21 gives it
    "model1_name": "ResNet",
    "model2_name": "ViT",
    "CKA": VALUES,
    "model1_layers": ["conv1", "fc"],
    "model2_layers": ["blocks.0", "blocks.1", "head"],
    "dataset1_name": "<torch.utils.data.dataset.TensorDataset object at 0x7fdfcb1b9190>",
    "dataset2_name": "<torch.utils.data.dataset.TensorDataset object at 0x7fdfcb1b9190>",
}


def save(held, path: Path):
    if path.suffix == ".npz":
        np.savez(path, **held)
    elif path.suffix == ".npy":
        np.save(path, held if isinstance(held, dict) else np.asarray(held), allow_pickle=True)
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(held))
    else:
        torch.save(held, path)
    return path


@pytest.mark.parametrize("ending", ["", ".pt", ".pkl", ".npy", ".npz"])
def test_what_torch_cka_exports(tmp_path, ending):
    source = save(EXPORTED, tmp_path / f"cka{ending}") if ending else EXPORTED
    result = vitprobe.load_matrix(source)
    assert np.array_equal(result["cka"], VALUES.double())
    assert result["cka"].sel(layer_a="fc", layer_b="head").item() == 0.125
    assert result["layer_b"].values.tolist() == EXPORTED["model2_layers"]
    attrs = result.attrs
    assert [attrs[key] for key in ("analysis", "model_a", "model_b")] == ["cka", "ResNet", "ViT"]
    assert (attrs["imported_from"], attrs["estimator"]) == ("torch_cka", "unbiased")
    assert attrs["dataset"] == "TensorDataset"
    assert "no standard errors" in attrs["notes"] and "mini-batches" in attrs["notes"]
    assert result["cka_se"].isnull().all() and result["hsic"].isnull().all()


@pytest.mark.parametrize("ending", ["", ".pt", ".pth", ".npy"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_bare_matrix(tmp_path, ending, listed):
    """pytorch-cka gives a list, of one matrix for each DataLoader."""
    held = [VALUES] if listed else VALUES
    if ending == ".npy":
        held = VALUES[None].numpy() if listed else VALUES.numpy()
    source = save(held, tmp_path / f"cka{ending}") if ending else held
    plain = vitprobe.load_matrix(source)
    assert np.array_equal(plain["cka"], VALUES.double())
    assert plain["layer_b"].values.tolist() == ["0", "1", "2"]
    assert plain.attrs["imported_from"] == "a matrix" and "estimator" not in plain.attrs
    names = {"layers_a": ["x", "y"], "layers_b": ["p", "q", "r"]}
    told = vitprobe.load_matrix(source, **names, model_b="late", tool="pytorch-cka")
    assert told["cka"].sel(layer_a="y", layer_b="p").item() == 0.5
    assert (told.attrs["model_a"], told.attrs["model_b"]) == ("a", "late")
    assert "below 0 is written as 0" in told.attrs["notes"]
    square = vitprobe.load_matrix(VALUES[:, :2], layers_a=["x", "y"])
    assert square["layer_b"].values.tolist() == ["x", "y"]


def test_names_that_torch_cka_gets_wrong():
    """Without a list of layers it lists containers before what is in them, the root first, and
    fills its rows in the order in which they fire."""
    names = ["", "body", "body.0", "head"]
    exported = EXPORTED | {"CKA": torch.eye(4), "model1_layers": names, "model2_layers": names}
    with pytest.warns(VitprobeWarning, match="names of layers are wrong: .* lists 'output' before"):
        result = vitprobe.load_matrix(exported)
    assert "names of layers are wrong" in result.attrs["notes"]
    inner = EXPORTED | {"model1_layers": ["body", "body.0"]}
    with pytest.warns(VitprobeWarning, match="lists 'body' before the layers in it"):
        vitprobe.load_matrix(inner)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vitprobe.load_matrix(EXPORTED | {"model1_layers": ["body.0", "body"]})


def test_rows_without_values_are_blank():
    values = VALUES.clone()
    values[0] = torch.nan
    result = vitprobe.load_matrix(values)
    assert result["blank_a"].values.tolist() == ["no value in the matrix", ""]
    assert result["blank_b"].values.tolist() == ["", "", ""]


def test_it_is_a_result_like_any(tmp_path):
    result = vitprobe.load_matrix(EXPORTED)
    result.to_netcdf(tmp_path / "cka.nc", engine="h5netcdf")
    matches = vitprobe.match_layers(result)
    assert matches["match_a"].values.tolist() == ["blocks.0", "blocks.1"]
    assert matches["low_a"].isnull().all()
    texts = [
        text.get_text() for text in vitprobe.plot(result).findobj(lambda x: hasattr(x, "get_text"))
    ]
    assert any("from torch_cka" in text for text in texts)
    assert result.attrs["run"] != vitprobe.load_matrix(VALUES).attrs["run"]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize("ending", [".pt", ".pkl", ".npy", ".npz"])
def test_nothing_in_a_file_is_run(tmp_path, ending):
    exported = EXPORTED | {"extra": Hostile(str(tmp_path / "touched"))}
    result = vitprobe.load_matrix(save(exported, tmp_path / f"cka{ending}"))
    assert np.array_equal(result["cka"], VALUES.double())
    with pytest.raises(InputError):
        whole = {"CKA": exported["extra"]} if ending == ".npz" else exported["extra"]
        vitprobe.load_matrix(save(whole, tmp_path / f"whole{ending}"))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "source, options, words",
    [
        ("absent.pt", {}, "no matrix absent.pt: check the path"),
        ({"cka": VALUES}, {}, r"no CKA among its keys \(cka\)"),
        ([VALUES, VALUES], {}, "is one of 2, of a data set each: give one of them"),
        (torch.zeros(3), {}, r"has the shape \(3,\): a matrix is"),
        (torch.zeros(0, 3), {}, "has the shape"),
        ("text.pt", {}, "holds no matrix of numbers"),
        (VALUES, {"layers_a": ["x"]}, "layers_a: 1 names for 2 layers of the matrix"),
        (VALUES, {"layers_a": ["x", "x"]}, "two layers are called 'x'"),
        (
            VALUES,
            {"tool": "torch-cka"},
            "torch_cka or pytorch-cka; did you mean",
        ),
        (EXPORTED | {"model2_layers": ["x"]}, {}, "layers_b: 1 names for 3"),
    ],
)
def test_what_is_no_matrix(tmp_path, monkeypatch, source, options, words):
    monkeypatch.chdir(tmp_path)
    torch.save("text", "text.pt")
    with pytest.raises(InputError, match=words) as error:
        vitprobe.load_matrix(source, **options)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt"])
def test_a_damaged_file(tmp_path, ending):
    path = save(EXPORTED, tmp_path / f"cka{ending}")
    held = path.read_bytes()
    for end in (0, 5, 90, len(held) // 2, len(held) - 1):
        path.write_bytes(held[:end])
        with pytest.raises(InputError, match="cka"):
            vitprobe.load_matrix(path)
