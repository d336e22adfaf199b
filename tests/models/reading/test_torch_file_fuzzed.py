"""Ten thousand damaged files, in one process of bounded memory: an object or one clear line each.

Run as a program, this file reads them: `python test_torch_file_fuzzed.py FOLDER FILES`.
"""

import argparse
import collections
import io
import json
import pathlib
import pickle
import pickletools
import random
import resource
import sys
import warnings
import zipfile

import forked
import numpy as np
import pytest
import torch

FILES = 10_000
SPARE = 1 << 30  # bytes of address space beyond what the imports took
# What a damaged file may meet in the reader; nothing that says that memory ran out.
PLANNED = {
    *("Refused", "ValueError", "IndexError", "KeyError", "UnicodeDecodeError"),
    *("UnicodeEncodeError", "BadZipFile", "error", "OverflowError", "NotImplementedError"),
}


class Thing:
    """An object with a state."""


def held():
    """A small checkpoint with a little of everything."""
    thing = Thing()
    thing.parts = [1, (2, "3"), {4.5}]
    base = torch.arange(6.0)
    return {
        "w": base.view(2, 3),
        "v": base[2:4],
        "h": torch.ones(2).bfloat16(),
        "u": torch.ones(2).to(torch.uint16),
        "n": np.float64(0.5),
        "a": np.arange(3),
        "t": np.array(["ab"]),
        "o": collections.OrderedDict(x=1),
        "d": collections.defaultdict(list, {1: [2]}),
        "m": torch.nn.Linear(1, 1),
        "p": pathlib.PurePosixPath("/a"),
        "s": argparse.Namespace(lr=0.1),
        "i": thing,
        "b": b"\xff",
        "l": 2**70,
    }


def bases():
    """Files of every format and protocol, as bytes."""
    files = []
    for protocol in (2, 4):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(held(), file, pickle_protocol=protocol,
                       _use_new_zipfile_serialization=zipped)  # fmt: skip
            files.append(file.getvalue())
    return files + [pickle.dumps(held(), protocol) for protocol in range(6)]


def damaged(data, chance):
    """Some bytes of a file flipped, left out, moved, written twice or made large."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        at, length = chance.randrange(len(data)), chance.randint(1, 40)
        kind = chance.randrange(7)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.randrange(256)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            other = chance.randrange(len(data))
            data[other:other] = data[at : at + length]
        elif kind == 4:
            data[at : at + length] = bytes(chance.choices((0, 127, 255), k=length))
        elif kind == 5:
            del data[at:]
        else:
            other = chance.randrange(len(data))
            data[at], data[other] = data[other], data[at]
    return bytes(data)


def instructions(data):
    """A pickle's instructions, each as its bytes."""
    places = [place for _, _, place in pickletools.genops(data)] + [len(data)]
    return [data[start:end] for start, end in zip(places[:-1], places[1:], strict=True)]


def reordered(data, chance):
    """A pickle with instructions exchanged, repeated, left out, or put for others."""
    parts = instructions(data)
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes if opcode.arg is None]
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        kind = chance.randrange(5)
        if kind == 0:
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 1:
            parts[at] = parts[other]
        elif kind == 2:
            parts[at:at] = [parts[other]] * chance.choice((1, 3, 1000))
        elif kind == 3:
            parts[at] = chance.choice(codes)
        else:
            parts[at] = b""
    return b"".join(parts)


def rezipped(data, chance):
    """A zip file whose pickle or other members were changed before they were put in."""
    change = chance.choice((damaged, reordered))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(file, "w") as copy:
        for name in source.namelist():
            member = source.read(name)
            if name.endswith("data.pkl"):
                member = change(member, chance)
            elif chance.random() < 0.05:
                member = damaged(member, chance)
            copy.writestr(name, member)
    return file.getvalue()


def mutations(count):
    """(name, bytes) of as many damaged files, the same in every run."""
    chance, files = random.Random(0), bases()
    for i in range(count):
        data = chance.choice(files)
        if data.startswith(b"PK"):
            change = chance.choice((damaged, rezipped, rezipped))
        elif i % 2 and not data.startswith(b"\x80\x02\x8a"):  # torch's own is several pickles
            change = reordered
        else:
            change = damaged
        yield change(data, chance)


def main(folder, count):
    from vitprobe.errors import InputError
    from vitprobe.models.reading.placeholder import module_state
    from vitprobe.models.reading.torch_file import read_torch_file

    warnings.simplefilter("ignore")
    path = pathlib.Path(folder) / "damaged.pth"
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    ends = collections.Counter()
    for i, data in enumerate(mutations(count)):
        path.write_bytes(data)
        try:
            read = read_torch_file(path)
            for value in read.values() if type(read) is dict else ():
                module_state(value)
                if type(value) is torch.Tensor and value.numel() < 1 << 20:
                    value.clone()  # touches every byte that it claims
            ends["read"] += 1
        except InputError as error:
            kind = type(error.__cause__).__name__
            assert "\n" not in str(error) and str(path) in str(error), (i, str(error))
            assert kind in PLANNED, (i, kind, error.__cause__)
            ends[kind] += 1
    print(json.dumps(ends))


@pytest.mark.parametrize("files", [FILES // 4, pytest.param(FILES, marks=pytest.mark.slow)])
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_damaged_files_are_an_object_or_one_clear_line(tmp_path, files):
    run = forked.python(__file__, tmp_path, files, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    ends = json.loads(run.stdout)
    assert sum(ends.values()) == files
    assert min(ends["read"], ends["Refused"]) > files / 20  # both sides are seen


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
