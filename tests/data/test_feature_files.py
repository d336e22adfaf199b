"""Activations in files: their rows as they were stored, one batch at a time."""

import tempfile
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vitprobe.data.feature_files import feature_file
from vitprobe.data.stored_array import in_memory
from vitprobe.errors import InputError

SHAPE = (12, 3, 5)
INDEX = [7, 2, 3, 4, 11, 0, 8]  # some of them follow each other


def numbers(dtype=np.float32):
    x = np.random.default_rng(0).normal(size=SHAPE) * 50
    return x.astype(dtype) if np.dtype(dtype).kind != "b" else x > 0


def only(path):
    (array,) = feature_file(path).arrays
    return array


def npz(path, x):
    np.savez(path, layer=x)


def compressed(path, x):
    np.savez_compressed(path, layer=x)


def by_columns(path, x):
    np.savez(path, layer=np.asfortranarray(x))


def compressed_by_columns(path, x):
    np.savez_compressed(path, layer=np.asfortranarray(x))


def npy(path, x):
    np.save(path.with_suffix(".npy"), x)
    path.with_suffix(".npy").rename(path)  # it is known by what it holds


def safetensors(path, x):
    save_file({"layer": torch.from_numpy(x)}, path)


@pytest.mark.parametrize(
    "write", [npz, compressed, by_columns, compressed_by_columns, npy, safetensors]
)
def test_rows_in_any_order(tmp_path, write):
    path = tmp_path / ("layer.safetensors" if write is safetensors else "layer.npz")
    x = numbers()
    write(path, x)
    array = only(path)
    assert (array.name, array.shape, array.dtype) == ("layer", SHAPE, torch.float32)
    for index in (INDEX, range(12), [5]):
        assert torch.equal(array.rows(index), torch.from_numpy(x[list(index)]))


@pytest.mark.parametrize(
    "kind, computed",
    [
        *((kind, kind) for kind in ("float16", "float32", "float64")),
        *((kind, "float32") for kind in ("bool", "int8", "uint8", "int16", "uint16")),
        *((kind, "float64") for kind in ("int32", "uint32", "int64", "uint64")),
        (">f4", "float32"),
        (">i2", "float32"),
    ],
)
def test_types(tmp_path, kind, computed):
    x = numbers(kind) if np.dtype(kind).kind != "u" else numbers("float64").clip(0).astype(kind)
    np.save(tmp_path / "x.npy", x)
    wanted = torch.from_numpy(x.astype(computed)[INDEX])
    for array in (only(tmp_path / "x.npy"), in_memory("x", x)):
        found = array.rows(INDEX)
        assert found.dtype == array.dtype == getattr(torch, computed)
        assert torch.equal(found, wanted)


def test_types_of_torch(tmp_path):
    held = {"b": torch.randn(6, 4).bfloat16(), "h": torch.randn(6, 4).half(), "i": torch.arange(6)}
    held["i"] = held["i"][:, None]
    save_file(held, tmp_path / "x.safetensors")
    for array in feature_file(tmp_path / "x.safetensors").arrays:
        wanted = held[array.name] if array.name != "i" else held["i"].double()
        for each in (array, in_memory(array.name, held[array.name])):
            assert torch.equal(each.rows([4, 5, 0]), wanted[[4, 5, 0]])


def test_layers_have_the_order_of_the_file(tmp_path):
    names = [f"blocks.{k}" for k in (0, 1, 10, 2)]
    np.savez(tmp_path / "x.npz", **dict.fromkeys(names, np.zeros((4, 2))))
    assert [each.name for each in feature_file(tmp_path / "x.npz").arrays] == names
    save_file({name: torch.zeros(4, 2) for name in names}, tmp_path / "x.safetensors")
    found = [each.name for each in feature_file(tmp_path / "x.safetensors").arrays]
    assert found == [f"blocks.{k}" for k in (0, 1, 2, 10)]  # safetensors keeps none


def test_what_is_no_layer_says_why(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        objects=np.array([{}] * 5, dtype=object),
        text=np.array([["a"]] * 5),
        complex=np.zeros((5, 2), complex),
        labels=np.arange(5),
        scale=np.float32(3),
        empty=np.zeros((5, 0)),
    )
    reasons = {each.name: each.reason for each in feature_file(tmp_path / "x.npz").arrays}
    expected = {
        "objects": "Python objects, which are never loaded",
        "text": "text",
        "complex": "complex",
        "labels": "one number for each example",
        "scale": "a single number",
        "empty": "no features",
    }
    assert reasons.keys() == expected.keys()
    assert all(expected[name] in reasons[name] for name in expected)
    np.save(tmp_path / "x.npy", np.array([[{}, 1]] * 5, dtype=object))
    assert "Python objects, which are never loaded" in only(tmp_path / "x.npy").reason


def test_the_digest_is_of_the_numbers(tmp_path):
    found = []
    for k, change in enumerate((0, 0, 1)):
        x = numbers()
        x[-1, -1, -1] += change
        np.savez(tmp_path / f"{k}.npz", x=x)
        np.save(tmp_path / f"{k}.npy", x)
        found.append([only(tmp_path / f"{k}{end}").digest for end in (".npz", ".npy")])
    assert found[0] == found[1]
    assert not {*found[0]} & {*found[2]}


def test_what_cannot_be_read_is_told(tmp_path):
    def refused(name, words):
        with pytest.raises(InputError, match=words) as error:
            feature_file(tmp_path / name)
        assert name in str(error.value) and len(str(error.value).splitlines()) == 1

    refused("absent.npz", "check the path")
    (tmp_path / "folder.npz").mkdir()
    refused("folder.npz", "is a folder")
    torch.save({"x": torch.zeros(4, 2)}, tmp_path / "x.pt")
    refused("x.pt", "numpy.savez, numpy.save and safetensors")
    for kind, write in (("npz", npz), ("npy", npy), ("safetensors", safetensors)):
        write(tmp_path / f"whole.{kind}", numbers())
        held = (tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"short.{kind}").write_bytes(held[:-30])
        refused(f"short.{kind}", "truncated")
    np.save(tmp_path / "huge.npy", np.zeros((4, 2)))
    held = (tmp_path / "huge.npy").read_bytes().replace(b"(4, 2), }  ", b"(4, 2222)}")
    (tmp_path / "huge.npy").write_bytes(held)
    refused("huge.npy", "truncated")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(tmp_path / "whole.npy", "layer.npy")
    refused("odd.npz", "compressed otherwise")


def test_a_file_that_becomes_shorter_meanwhile(tmp_path):
    np.save(tmp_path / "x.npy", numbers())
    array = only(tmp_path / "x.npy")
    held = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(held[: len(held) // 2])
    with pytest.raises(InputError, match="'x' is cut off"):
        array.rows(range(12))


def test_no_room_for_a_copy(tmp_path, monkeypatch):
    compressed(tmp_path / "x.npz", numbers())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="has no room for a copy .*: set TMPDIR"):
        only(tmp_path / "x.npz").rows([0])


@pytest.mark.parametrize("write", [npz, compressed, by_columns])
def test_no_more_than_a_batch_is_in_memory(tmp_path, write):
    x = np.random.default_rng(0).normal(size=(256, 1 << 12))  # 8 MB
    write(tmp_path / "x.npz", x)
    tracemalloc.start()
    array = only(tmp_path / "x.npz")
    for start in (200, 40):
        found = array.rows(range(start, start + 8))
        assert np.array_equal(found.numpy(), x[start : start + 8])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 << 20 if write is npz else 5 << 20)
