"""Every layout is read, and no code in a file is ever run."""

import argparse
import dataclasses
import hashlib
import pickle
import re
import sys
import zipfile
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vitprobe.errors import InputError
from vitprobe.models import read_checkpoint, stored
from vitprobe.models.checkpoints import state_sha256
from vitprobe.models.reading.placeholder import Placeholder

WRAPPERS = ("model_state_dict", "state_dict", "model", "net")


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {"conv.weight": torch.randn(4, 3, 3, 3), "head.bias": torch.randn(10)}


def same(state, weights):
    return list(state) == list(weights) and all(
        torch.equal(value, weights[key]) for key, value in state.items()
    )


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".t7", ".ckpt", ""])
@pytest.mark.parametrize("zipped", [True, False])
def test_bare_weights_in_new_and_old_formats(tmp_path, weights, suffix, zipped):
    path = tmp_path / f"w{suffix}"
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    read = read_checkpoint(path)
    assert same(read.state, weights) and read.metadata == {}
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("inner", [None, *WRAPPERS])
@pytest.mark.parametrize("outer", WRAPPERS)
def test_wrapped_weights(tmp_path, weights, outer, inner):
    held = weights if inner is None else {inner: weights, "epoch": 3}
    torch.save({outer: held, "accuracy": 91.5, "optimizer": {"state": {}}}, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth")
    assert same(read.state, weights)
    assert read.metadata["accuracy"] == 91.5 and read.metadata.get("epoch") == (inner and 3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["module.", "_orig_mod."]), max_size=4))
def test_any_mixture_of_prefixes_is_taken_off(tmp_path_factory, prefixes):
    path = tmp_path_factory.mktemp("prefix") / "w.pth"
    head, bias = torch.randn(3), torch.randn(2)
    torch.save({"".join(prefixes) + "head.weight": head, "layer1._orig_mod.0.bias": bias}, path)
    assert same(read_checkpoint(path).state, {"head.weight": head, "layer1.0.bias": bias})


def test_the_same_name_twice_is_refused(tmp_path, weights):
    torch.save(weights | {"module.head.bias": torch.zeros(10)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds head.bias twice"):
        read_checkpoint(tmp_path / "w.pth")


def test_values_beside_bare_weights_are_metadata(tmp_path, weights):
    torch.save(weights | {"epoch": 5}, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth")
    assert same(read.state, weights) and read.metadata == {"epoch": 5}


def test_safetensors_with_metadata(tmp_path, weights):
    metadata = {"mean": "[0.1, 0.2, 0.3]", "std": "[0.5, 0.5, 0.5]", "epoch": "7", "data": "svhn"}
    save_file({f"module.{k}": v for k, v in weights.items()}, tmp_path / "w.safetensors", metadata)
    read = read_checkpoint(tmp_path / "w.safetensors")
    assert read.state.keys() == weights.keys()
    assert all(torch.equal(read.state[key], weights[key]) for key in weights)
    assert read.metadata["epoch"] == 7 and read.metadata["data"] == "svhn"
    assert stored.normalization(read.metadata) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


def rewrite(path, other, old, new):
    """Copy a checkpoint with a string of its pickle replaced, as another machine would write it."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as copy:
        for item in source.namelist():
            data = source.read(item)
            if item.endswith("data.pkl"):
                assert old in data
                data = data.replace(old, new)
            copy.writestr(item, data)


def test_cuda_tensors_are_read_on_the_cpu(tmp_path, weights):
    torch.save(weights, tmp_path / "cpu.pth")
    cpu, cuda = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"  # with their lengths
    rewrite(tmp_path / "cpu.pth", tmp_path / "cuda.pth", cpu, cuda)
    assert same(read_checkpoint(tmp_path / "cuda.pth").state, weights)


def test_plain_data_beside_the_weights_is_allowed(tmp_path, weights):
    """numpy's numbers and arrays and argparse's namespaces are common and harmless."""
    extra = {
        "best": np.float64(91.25),
        "single": np.float32(0.5),
        "count": np.int64(7),
        "curve": np.arange(6.0).reshape(2, 3),
        "classes": np.array(["cat", "dog"]),
        "args": argparse.Namespace(lr=0.1, name="run"),
    }
    for zipped in (True, False):
        torch.save(
            {"state_dict": weights} | extra,
            tmp_path / "w.pth",
            _use_new_zipfile_serialization=zipped,
        )
        read = read_checkpoint(tmp_path / "w.pth")
        assert same(read.state, weights)
        assert (read.metadata["best"], read.metadata["count"]) == (91.25, 7)
        assert np.array_equal(read.metadata["curve"], extra["curve"])
        assert list(read.metadata["classes"]) == ["cat", "dog"]
        assert read.metadata["args"] == extra["args"]


def test_numpy_1_and_numpy_2_name_the_same_things_differently(tmp_path, weights):
    torch.save({"net": weights, "best": np.float64(3.5)}, tmp_path / "w.pth")
    names = b"numpy._core.multiarray", b"numpy.core.multiarray"
    old, new = names if np.__version__ >= "2" else names[::-1]
    rewrite(tmp_path / "w.pth", tmp_path / "other.pth", old, new)
    assert read_checkpoint(tmp_path / "other.pth").metadata["best"] == 3.5


@dataclasses.dataclass
class Run:
    net: dict


class Bag(dict):
    """A dictionary with a class of its own."""


@contextmanager
def recursion(limit):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class Trap:
    """Unpickling it makes a file: the proof that code in a checkpoint was run."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "suffix"])
def test_pickled_code_is_never_executed(tmp_path, weights, kind):
    proof, path = tmp_path / "executed", tmp_path / "w.pth"
    held = {"state_dict": weights, "trap": Trap(proof)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(held, protocol=2))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=kind != "legacy")
    if kind == "suffix":
        path = path.rename(tmp_path / "w.safetensors")
        with pytest.raises(InputError, match="no safetensors file"):
            read_checkpoint(path)
    elif kind == "pickle":  # whose tensors are not torch.save's, but made by code of theirs
        assert same(read_checkpoint(path).state, weights)
    else:
        read = read_checkpoint(path)
        assert same(read.state, weights) and isinstance(read.metadata["trap"], Placeholder)
    assert not proof.exists()
    if kind != "suffix":  # the trap works where code is allowed
        load = pickle.loads(path.read_bytes()) if kind == "pickle" else None
        load = load or torch.load(path, weights_only=False)
        load["trap"].close()
        assert proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_pickled_model_gives_its_weights(tmp_path, zipped):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    for held in (net, {"model": net, "epoch": 3}, {"model": torch.nn.DataParallel(net)}):
        torch.save(held, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        assert same(read_checkpoint(tmp_path / "w.pth").state, net.state_dict())


def test_weights_within_objects_are_found(tmp_path, weights):
    """A trainer's state as a dataclass, a dictionary of a class of its own."""
    for held in (
        argparse.Namespace(net=weights),
        Run(weights),
        Bag(weights),
        {"a": [Bag(weights)]},
    ):
        torch.save(held, tmp_path / "w.pth")
        assert same(read_checkpoint(tmp_path / "w.pth").state, weights)


def test_files_of_objects_without_weights_say_so(tmp_path):
    torch.save({"state_dict": Trap(tmp_path / "executed")}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="no weights .* state_dict .*code is never run"):
        read_checkpoint(tmp_path / "w.pth")
    torch.save(Trap(tmp_path / "executed"), tmp_path / "w.pth")
    with pytest.raises(InputError, match="no weights .* an object .*open.* never run"):
        read_checkpoint(tmp_path / "w.pth")
    assert not (tmp_path / "executed").exists()


def test_a_weight_that_claims_more_than_it_has(tmp_path):
    """4 bytes that call themselves 4 GB."""
    huge = torch.zeros(1).expand(1, 2**20 + 1, 1024)
    torch.save({"pos_embed": huge, "head.bias": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"pos_embed \(1, 1048577, 1024\) claims more numbers"):
        read_checkpoint(tmp_path / "w.pth")


def test_very_deep_files_are_read_in_linear_time(tmp_path, weights):
    held = weights
    for _ in range(900):  # torch.save itself goes no deeper
        held = {"a": held}
    with recursion(20_000):
        torch.save(held, tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth")
    assert same(read.state, weights) and read.key.count("a") == 900


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_not_run(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "w.pt")
    with pytest.raises(InputError, match="TorchScript program, which is never executed"):
        read_checkpoint(tmp_path / "w.pt")


def test_the_old_format_cut_anywhere_is_truncated(tmp_path):
    """Cut within the name of a function, it seems to ask for a function of a shorter name."""
    torch.save({"w": torch.ones(3)}, tmp_path / "w.t7", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "w.t7").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.t7").write_bytes(whole[:length])
        with pytest.raises(InputError, match="truncated"):
            read_checkpoint(tmp_path / "cut.t7")


@settings(max_examples=40, deadline=None)
@given(part=st.floats(0, 0.999), kind=st.sampled_from(["zip", "legacy", "safetensors"]))
def test_a_truncated_file_is_one_clear_line(tmp_path_factory, part, kind):
    weights = {"conv.weight": torch.arange(64.0), "head.bias": torch.arange(10.0)}
    path = tmp_path_factory.mktemp("cut") / f"w.{kind}"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match="truncated") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_other_file_is_one_clear_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "w.pth"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_missing_files_folders_and_files_without_weights(tmp_path):
    for path, words in {
        tmp_path / "none.pth": "no checkpoint .*none.pth: check the path",
        tmp_path: "is a folder",
    }.items():
        with pytest.raises(InputError, match=words):
            read_checkpoint(path)
    for held, words in [
        ([1, 2], "holds no weights .* but list"),
        ({"epoch": 3, "loss": 0.5}, "holds no weights .* but a dict with epoch, loss"),
        ({"state_dict": {}}, "holds no weights"),
        (torch.ones(3), "holds no weights .* but Tensor"),
    ]:
        torch.save(held, tmp_path / "w.pth")
        with pytest.raises(InputError, match=words):
            read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"mean": [0.1, 0.2, 0.3], "std": (0.4, 0.5, 0.6)}, ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
        ({"normalization": {"mean": [0.5], "std": [0.25]}}, ((0.5,) * 3, (0.25,) * 3)),
        ({"mean": torch.full((3, 1, 1), 0.5), "std": np.full(3, 0.25)}, ((0.5,) * 3, (0.25,) * 3)),
        ({"mean": [0.1, 0.2], "std": [0.4, 0.5]}, None),
        ({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.0, 0.6]}, None),
        ({"mean": "imagenet", "std": None}, None),
        ({"normalization": "imagenet"}, None),
        ({"mean": [0.1, 0.2, 0.3]}, None),
    ],
)
def test_normalisation_in_the_metadata(tmp_path, weights, metadata, expected):
    torch.save({"state_dict": weights} | metadata, tmp_path / "w.pth")
    assert stored.normalization(read_checkpoint(tmp_path / "w.pth").metadata) == expected


def test_the_hash_of_weights_sees_every_bit(weights):
    first = state_sha256(weights)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert state_sha256({key: value.clone() for key, value in weights.items()}) == first
    bit = {key: value.clone() for key, value in weights.items()}
    bit["head.bias"].view(torch.int32)[-1] ^= 1
    renamed = {key.upper(): value for key, value in weights.items()}
    flat = {key: value.flatten() for key, value in weights.items()}
    others = [bit, renamed, flat, {"n": torch.tensor(3)}, {"n": torch.tensor(3).bfloat16()}]
    assert len({first, *map(state_sha256, others)}) == 6
