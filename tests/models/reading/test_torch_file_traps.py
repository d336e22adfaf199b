"""No code in a file is ever run, and no size in it is believed."""

import os
import pickle
import re
import zipfile

import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.torch_file import read_torch_file


class Trap:
    """Unpickling it does something."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args, state) if state else (function, args)

    def __reduce__(self):
        return self.call


class Stateful:
    """Unpickling it makes a file, where its class is known."""

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        open(state["path"], "w").close()


def traps(proof):
    """By name, what would make the file `proof`."""
    stateful = Stateful()
    stateful.path = str(proof)
    make = f"open({str(proof)!r}, 'w').close()"
    return {
        "open": Trap(open, str(proof), "w"),
        "system": Trap(os.system, f"touch {proof}"),
        "eval": Trap(eval, make),
        "exec": Trap(exec, make),
        "state": stateful,
        "key": {(Trap(eval, make), 1): 2},
        "argument": Trap(print, Trap(exec, make)),
        "builtins": Trap(getattr, Trap(__import__, "os"), "system"),
        "torch": Trap(torch.load, str(proof)),
        "rebuild": Trap(torch._utils._rebuild_parameter, Trap(eval, make), False, {}),
        "subclass": Trap(
            torch._tensor._rebuild_from_type_v2, eval, torch.Tensor, (make,), {"a": 1}
        ),
    }


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
@pytest.mark.parametrize("name", sorted(traps("")))
def test_pickled_code_is_never_run(tmp_path, name, kind):
    proof, path, weights = tmp_path / "executed", tmp_path / "w.pth", torch.arange(3.0)
    held = {"state_dict": {"w": weights}, "trap": traps(proof)[name], "epoch": 3}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(held))
    else:
        torch.save(held, path, _use_new_zipfile_serialization=kind == "zip")
    read = read_torch_file(path)
    assert not proof.exists()
    assert torch.equal(read["state_dict"]["w"], weights) and read["epoch"] == 3
    trap = read["trap"]
    (trap,) = [key[0] for key in trap] if name == "key" else [trap]
    assert type(trap) is Placeholder and (trap.args is not None or trap.state)
    if name in ("open", "system", "eval", "exec", "state", "key", "argument", "subclass"):
        try:  # the trap works where code is allowed
            pickle.loads(path.read_bytes()) if kind == "pickle" else torch.load(
                path, weights_only=False
            )
        except Exception as error:
            assert name == "subclass", error
        assert proof.exists()


class Storage:
    """A pickler's stand-in for a storage: it is written as the identity that it has."""

    def __init__(self, *saved_id):
        self.saved_id = saved_id


class Pickler(pickle.Pickler):
    def persistent_id(self, held):
        return held.saved_id if type(held) is Storage else None


def write(path, held, members):
    """A zip file of torch.save's with these storages (bytes by key)."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("w/data.pkl", "w") as file:
            Pickler(file, 2).dump(held)
        for key, data in members.items():
            archive.writestr(f"w/data/{key}", data)
    return path


def tensor(storage, offset=0, size=(3,), stride=(1,), name="_rebuild_tensor_v2", more=()):
    function = getattr(torch._utils, name)
    return Trap(function, storage, offset, size, stride, False, {}, *more)


FLOATS = Storage("storage", torch.FloatStorage, "0", "cpu", 3)
THREE = {"0": torch.tensor([1.0, 2.0, 3.0]).numpy().tobytes()}


def test_files_made_here_are_read(tmp_path):
    read = read_torch_file(
        write(tmp_path / "w.pth", [tensor(FLOATS), tensor(FLOATS, 1, (2,))], THREE)
    )
    assert [held.tolist() for held in read] == [[1, 2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        *((0, (4,), (1,)), (1, (3,), (1,)), (0, (3,), (2,)), (3, (), ()), (0, (2, 2), (2, 1))),
        *((-1, (1,), (1,)), (0, (-1,), (1,)), (2, (2,), (-1,)), (0, (2**62,), (1,))),
        *((0, (2**63,), (0,)), (0, (2**40, 2**40), (0, 0)), (0, (1,), (2**64,))),
        *((0, (0, 2**62, 2**62), (0, 0, 0)), (0, (3,), ()), (0, (3,), (1, 1)), (2**64, (1,), (1,))),
        *((0, (1,) * 65, (1,) * 65), (0, (True,), (1,)), (0, (1.0,), (1,)), (0, ("3",), (1,))),
        (True, (1,), (1,)),
    ],
)  # fmt: skip
def test_tensors_that_lie(tmp_path, offset, size, stride):
    path = write(tmp_path / "w.pth", tensor(FLOATS, offset, size, stride), THREE)
    with pytest.raises(InputError, match=r"\(a tensor (has|reaches) "):
        read_torch_file(path)


def test_expanded_tensors_take_the_memory_of_their_storage(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(torch.zeros(1).expand(1, 2**20 + 1, 128), path)
    read = read_torch_file(path)
    assert read.shape == (1, 2**20 + 1, 128) and read.untyped_storage().nbytes() == 4


@pytest.mark.parametrize(
    ("storage", "members", "words"),
    [
        (("storage", torch.FloatStorage, "0", "cpu", 4), THREE, "shorter than its file says"),
        (("storage", torch.FloatStorage, "0", "cpu", -1), THREE, "shorter than its file says"),
        (("storage", torch.FloatStorage, "0", "cpu", 2**62), THREE, "shorter than its file says"),
        (("storage", torch.DoubleStorage, "0", "cpu", 3), THREE, "shorter than its file says"),
        (("storage", torch.FloatStorage, "1", "cpu", 3), THREE, "a storage is missing"),
        (("storage", torch.FloatStorage, "../data.pkl", "cpu", 3), THREE, "is missing"),
        (("storage", torch.nn.Linear, "0", "cpu", 3), THREE, "storage of an unknown kind"),
        (("storage", torch.FloatStorage, ["0"], "cpu", 3), THREE, "that is no storage"),
        (("storage", "FloatStorage", "0", "cpu", 3), THREE, "that is no storage"),
        (("storage", torch.FloatStorage, "0", "cpu", 3.0), THREE, "that is no storage"),
        (("module", 3, "os", "system"), THREE, "that is no storage"),
        (("file", torch.FloatStorage, "0", "cpu", 3), THREE, "that is no storage"),
        ((), THREE, "that is no storage"),
    ],
)
def test_storages_that_lie(tmp_path, storage, members, words):
    path = write(tmp_path / "w.pth", tensor(Storage(*storage)), members)
    with pytest.raises(InputError, match=words):
        read_torch_file(path)


def test_tensors_of_what_is_no_storage_are_refused_or_placeholders(tmp_path):
    square = tensor(Storage("storage", torch.FloatStorage, "0", "cpu", 3), 0, (3, 1), (1, 1))
    with pytest.raises(InputError, match="what is no storage"):
        read_torch_file(write(tmp_path / "w.pth", tensor(square), THREE))
    for wrong in (3, "0", [1.0], Trap(print)):
        read = read_torch_file(write(tmp_path / "w.pth", tensor(wrong), THREE))
        assert type(read) is Placeholder
    third = {"name": "_rebuild_tensor_v3", "more": (torch.float64,)}
    with pytest.raises(InputError, match="don't go together"):
        read_torch_file(write(tmp_path / "w.pth", tensor(FLOATS, **third), THREE))
    untyped = Storage("storage", torch.UntypedStorage, "0", "cpu", 12)
    with pytest.raises(InputError, match="past the end"):
        read_torch_file(write(tmp_path / "w.pth", tensor(untyped, 0, (2,), (1,), **third), THREE))
    third["more"] = (torch.qint8,)
    with pytest.raises(InputError, match="don't go together"):
        read_torch_file(write(tmp_path / "w.pth", tensor(untyped, 0, (2,), (1,), **third), THREE))


def test_compressed_archives_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", pickle.dumps(1))
        archive.writestr("w/data/0", bytes(1 << 20))
    with pytest.raises(InputError, match="compressed or encrypted"):
        read_torch_file(path)


def test_members_that_lie_about_where_and_how_large_they_are(tmp_path):
    path = write(tmp_path / "w.pth", [tensor(FLOATS)], THREE)
    data = path.read_bytes()
    at = data.rindex(b"PK\1\2")  # the last member in the archive's list: the storage
    for start, lie in ((20, 2**31), (24, 2**31), (42, 2**31), (42, len(data) - 10), (42, 3)):
        changed = data[: at + start] + lie.to_bytes(4, "little") + data[at + start + 4 :]
        path.write_bytes(changed)
        if start == 20:  # the compressed size, of what is not compressed
            assert read_torch_file(path)[0].tolist() == [1, 2, 3]
        else:
            with pytest.raises(InputError, match="lies outside the file"):
                read_torch_file(path)


def test_one_place_named_by_many_members(tmp_path):
    """A megabyte that a thousand storages claim."""
    storages = [Storage("storage", torch.ByteStorage, str(i), "cpu", 1 << 20) for i in range(1000)]
    members = {str(i): b"" for i in range(1, 1000)} | {"0": bytes(1 << 20)}
    path = write(tmp_path / "w.pth", storages, members)
    data = bytearray(path.read_bytes())
    entries = [found.start() for found in re.finditer(b"PK\1\2", data)]
    for at in entries[1:]:  # after data.pkl's
        for field in (slice(16, 28), slice(42, 46)):  # the sizes, the place
            end = entries[-1] + field.stop  # storage 0 was written last
            data[at + field.start : at + field.stop] = data[entries[-1] + field.start : end]
    path.write_bytes(data)
    with pytest.raises(InputError, match="more bytes than it has"):
        read_torch_file(path)


def test_the_old_format_s_sizes_are_not_believed(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(torch.arange(3.0), path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    count = b"K\x03N"  # of the storage, which has no part
    assert data.count(count) == 1
    for lie, words in [
        (b"J\xff\xff\xff\x7fN", "more bytes than it has"),
        (b"J\xff\xff\xff\xffN", "more bytes than it has"),
        (b"K\x04N", "not as long as its pickle says"),
    ]:
        path.write_bytes(data.replace(count, lie))
        with pytest.raises(InputError, match=words):
            read_torch_file(path)
    keys = data.rindex(b"\x80\x02]")
    path.write_bytes(data[:keys] + b"\x80\x02]." + data[keys:])
    with pytest.raises(InputError, match="not of those that it speaks of"):
        read_torch_file(path)
