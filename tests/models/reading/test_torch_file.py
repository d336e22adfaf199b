"""Tensors come out bit for bit as torch.load gives them, from files of any torch."""

import collections
import io
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.torch_file import read_torch_file

FORMATS = ["zip", "old", *(f"pickle {protocol}" for protocol in range(6))]
NAMES = (
    *("float64", "float32", "float16", "bfloat16", "complex64", "complex128", "complex32"),
    *("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
DTYPES = [getattr(torch, name) for name in NAMES if hasattr(torch, name)]


def write(held, path, kind):
    if kind.startswith("pickle"):
        path.write_bytes(pickle.dumps(held, int(kind[-1])))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=kind == "zip")
    return path


def rewrite(path, change):
    """Copy a zip checkpoint with every member changed: change(name, bytes) -> bytes or None."""
    other = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as copy:
        for name in source.namelist():
            data = change(name, source.read(name))
            if data is not None:
                copy.writestr(name, data)
    return other


def replace(path, old, new):
    """Copy a zip checkpoint with some bytes of its pickle replaced."""

    def change(name, data):
        if name.endswith("/data.pkl"):
            assert old in data
            data = data.replace(old, new)
        return data

    return rewrite(path, change)


def same(first, second):
    """Are two tensors the same in dtype, shape, strides and every bit?"""
    layout = [(t.dtype, t.shape, t.stride(), t.storage_offset()) for t in (first, second)]
    flags = [(t.is_conj(), t.is_neg(), t.device.type) for t in (first, second)]
    data = [t.resolve_conj().resolve_neg().contiguous().flatten() for t in (first, second)]
    bits = [t.view(torch.uint8) for t in data]
    return layout[0] == layout[1] and flags[0] == flags[1] and torch.equal(*bits)


def tensors():
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    held = {str(dtype): torch.randint(0, 255, (64,)).byte().view(dtype) for dtype in DTYPES
            if dtype is not torch.bool}  # fmt: skip
    return held | {
        "bool": torch.tensor([True, False]),
        "transposed": base.T,
        "part": base[1:3, ::2],
        "row": base[2],
        "scalar": torch.tensor(3.5),
        "none": torch.zeros(0, 3),
        "expanded": torch.ones(1).expand(1000, 1000),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
        "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
    }


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("kind", FORMATS)
def test_every_dtype_and_layout(tmp_path, kind):
    held = tensors()
    read = read_torch_file(write(held, tmp_path / "w.pth", kind))
    assert list(read) == list(held)
    assert all(same(read[key], value) for key, value in held.items())
    if kind == "zip":  # of the old format torch cannot load all that it saves
        loaded = torch.load(tmp_path / "w.pth", weights_only=False)
        assert all(same(read[key], value) for key, value in loaded.items())


@pytest.mark.parametrize("kind", FORMATS)
def test_parameters_buffers_and_subclasses_are_plain_tensors(tmp_path, kind):
    class_of = torch.nn.Parameter
    marked = class_of(torch.randn(3))
    marked.note = "kept by torch"
    held = [class_of(torch.randn(2)), marked, torch.nn.Buffer(torch.randn(4)),
            torch.randn(2, requires_grad=True), Image(torch.randn(2, 2))]  # fmt: skip
    read = read_torch_file(write(held, tmp_path / "w.pth", kind))
    for got, value in zip(read, held, strict=True):
        assert type(got) is torch.Tensor and not got.requires_grad and got.grad_fn is None
        assert torch.equal(got, value.detach().as_subclass(torch.Tensor))


class Image(torch.Tensor):
    """A kind of tensor with an attribute."""


@pytest.mark.parametrize("kind", ["zip", "old"])
def test_shared_memory_stays_shared_and_writable_without_the_file(tmp_path, kind):
    base = torch.arange(12.0)
    held = {"all": base, "part": base[3:6], "square": base.view(3, 4).T, "other": torch.ones(2)}
    path = write(held, tmp_path / "w.pth", kind)
    read = read_torch_file(path)
    path.write_bytes(b"")
    read["all"].mul_(2)
    assert torch.equal(read["part"], torch.tensor([6.0, 8.0, 10.0]))
    assert read["square"].tolist() == (2 * base).view(3, 4).T.tolist()
    assert read["other"].tolist() == [1, 1]
    pointers = {tensor.untyped_storage().data_ptr() for tensor in read.values()}
    assert len(pointers) == 2 and read["part"]._base is None


@pytest.mark.parametrize("kind", ["zip", "old"])
@pytest.mark.parametrize("location", ["cuda:0", "mps", "hpu:1", "xpu", "no device at all"])
def test_tensors_of_any_device_are_read_on_the_cpu(tmp_path, location, kind):
    held = {"w": torch.randn(3, 2), "h": torch.randn(2).half()}
    path = write(held, tmp_path / "w.pth", kind)
    text = [b"X" + len(name).to_bytes(4, "little") + name for name in (b"cpu", location.encode())]
    if kind == "zip":
        path = replace(path, *text)
        path = replace(path, b"ctorch\nFloatStorage", b"ctorch.cuda\nFloatStorage")
    else:
        path.write_bytes(path.read_bytes().replace(*text))
    read = read_torch_file(path)
    assert all(torch.equal(read[key], held[key]) for key in held)
    assert read["w"].device == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("kind", FORMATS)
def test_storages_are_flat_tensors(tmp_path, kind):
    base = torch.arange(4.0)
    held = [base.untyped_storage(), torch.arange(3).storage()]
    read = read_torch_file(write(held, tmp_path / "w.pth", kind))
    assert torch.equal(read[0].view(torch.float32), base) and read[1].tolist() == [0, 1, 2]


def test_the_old_format_s_parts_of_storages(tmp_path):
    """Before torch 0.4 a storage could be a part of another: (its key, start, length)."""
    path = write({"w": torch.arange(10.0)}, tmp_path / "w.pth", "old")
    data = path.read_bytes()
    parts = {b"K\nN": b"K\nX\x01\x00\x00\x00vK\x02K\x03\x87"}  # the elements 2, 3 and 4
    shape, strides = b"K\n\x85", b"K\x03\x85"
    for old, new in parts.items():
        assert data.count(old) == 1
        data = data.replace(old, new)
    assert data.count(shape) == 1
    path.write_bytes(data.replace(shape, strides))
    assert read_torch_file(path)["w"].tolist() == [2, 3, 4]
    path.write_bytes(data)  # ten elements of three
    with pytest.raises(InputError, match="past the end of its storage"):
        read_torch_file(path)
    path.write_bytes(data.replace(b"K\x02K\x03\x87", b"K\x02K\x09\x87"))
    with pytest.raises(InputError, match="part of a storage reaches past its end"):
        read_torch_file(path)


def test_files_of_the_other_byte_order(tmp_path):
    held = {"w": torch.randn(5), "c": torch.randn(2, dtype=torch.complex64), "b": torch.ones(3) > 0}
    path = write(held, tmp_path / "w.pth", "zip")
    sizes = {"data/0": 4, "data/1": 4, "data/2": 1}
    other = "big" if sys.byteorder == "little" else "little"

    def change(name, data):
        name = name.partition("/")[2]
        if name == "byteorder":
            return other.encode()
        if name in sizes:
            return np.frombuffer(data, f"u{sizes[name]}").byteswap().tobytes()
        return data

    read = read_torch_file(rewrite(path, change))
    assert all(same(read[key], value) for key, value in held.items())
    # files before torch 2.1 don't say, and are little
    plain = rewrite(path, lambda name, data: None if name.endswith("/byteorder") else data)
    assert same(read_torch_file(plain)["w"], held["w"])


@pytest.mark.parametrize("kind", ["zip", "old"])
def test_what_training_saves_beside_the_weights(tmp_path, kind):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    held = {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "random": torch.get_rng_state(),
        "numpy": np.random.default_rng(0).bit_generator.state,
        "path": pathlib.Path("runs/1"),
        "history": collections.defaultdict(list, loss=[np.float32(0.5)]),
        "dtype": torch.float16,
        "loss": torch.nn.functional.cross_entropy,
        "whole": optimizer,
    }
    read = read_torch_file(write(held, tmp_path / "w.ckpt", kind))
    assert type(read["state_dict"]) is dict
    assert all(same(read["state_dict"][key], value) for key, value in model.state_dict().items())
    assert read["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    moments = read["optimizer"]["state"][0]["exp_avg"]
    assert same(moments, optimizer.state_dict()["state"][0]["exp_avg"])
    assert read["scaler"] == held["scaler"] and read["numpy"] == held["numpy"]
    assert same(read["random"], held["random"])
    assert read["path"] == "runs/1" and read["history"] == {"loss": [0.5]}
    assert read["dtype"] is torch.float16
    assert read["loss"].name == "torch.nn.functional.cross_entropy" and read["loss"].args is None
    assert read["whole"].name == "torch.optim.adamw.AdamW"


def test_omegaconf_and_lightning_s_hyperparameters(tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"lr": 0.1, "layers": [1, 2]})
    held = {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": config, "epoch": 3}
    read = read_torch_file(write(held, tmp_path / "w.ckpt", "zip"))
    assert read["hyper_parameters"].name == "omegaconf.dictconfig.DictConfig"
    assert set(read["hyper_parameters"].state["_content"]) == {"lr", "layers"}
    assert torch.equal(read["state_dict"]["w"], torch.ones(2)) and read["epoch"] == 3


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", ["zip", "old"])
def test_tensors_of_other_kinds_are_placeholders(tmp_path, kind):
    held = {
        "_rebuild_sparse_tensor": torch.eye(2).to_sparse(),
        "_rebuild_qtensor": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "_rebuild_meta_tensor_no_storage": torch.ones(2, device="meta"),
    }
    read = read_torch_file(write(held, tmp_path / "w.pth", kind))
    for name, value in read.items():
        assert type(value) is Placeholder and value.name == f"torch._utils.{name}"
    indices = read["_rebuild_sparse_tensor"].args[1][0]
    assert indices.tolist() == [[0, 1], [0, 1]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), path)
    with pytest.raises(InputError, match="TorchScript program, which is never executed: resave"):
        read_torch_file(path)
    with pytest.raises(InputError, match="no checkpoint .*none.pt: check the path"):
        read_torch_file(tmp_path / "none.pt")
    with pytest.raises(InputError, match="is a folder: name a file"):
        read_torch_file(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="truncated .*it is empty"):
        read_torch_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme.txt", "a")
    with pytest.raises(InputError, match=r"without data\.pkl"):
        read_torch_file(path)
    path.write_bytes(pickle.dumps(1) + b"rest")
    with pytest.raises(InputError, match="something follows"):
        read_torch_file(path)


def test_a_file_cut_anywhere(tmp_path):
    held = {"w": torch.ones(3), "x": torch.ones(2).double()}
    for kind in ("zip", "old", "pickle 2"):
        whole = write(held, tmp_path / "w.pth", kind).read_bytes()
        for length in range(0, len(whole), 7 if kind == "zip" else 1):
            (tmp_path / "cut.pth").write_bytes(whole[:length])
            with pytest.raises(InputError, match="truncated or was not written by torch.save"):
                read_torch_file(tmp_path / "cut.pth")


def test_pickles_in_memory_are_read_as_torch_does(tmp_path):
    """A plain pickle holds each storage as a file of the old format within it."""
    base = torch.arange(6.0)
    buffer = io.BytesIO()
    pickle.dump({"a": base, "b": base[2:4]}, buffer, 2)
    (tmp_path / "w.pkl").write_bytes(buffer.getvalue())
    read = read_torch_file(tmp_path / "w.pkl")
    assert same(read["a"], base) and read["b"].tolist() == [2, 3]


def test_honest_files_have_room(tmp_path):
    """Much that is named often: elements as tensors, paths in one long folder, small numbers."""
    folder = pathlib.PurePosixPath("/" + "/".join(["folder" * 5] * 8))
    for held in (
        list(torch.zeros(3000)),
        [torch.ones(100)] * 1000,
        [folder / f"{i}.png" for i in range(3000)],
        [np.float64(1.0)] * 1000 + [np.bool_(True) for _ in range(1000)],
        [np.zeros(1, np.uint8) for _ in range(1000)],
    ):
        for kind in ("zip", "old", "pickle 2", "pickle 5"):
            few = held[:100] if kind.startswith("pickle") else held
            assert len(read_torch_file(write(few, tmp_path / "w.pth", kind))) == len(few)


def test_a_machine_without_memory_is_said(tmp_path, monkeypatch):
    path = write(torch.ones(3), tmp_path / "w.pth", "zip")

    def empty(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(InputError, match="too little memory for it"):
        read_torch_file(path)
