"""Checkpoints are data: weights and plain values are read from a file, code in it is never run."""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.models.source import brief
from vitprobe.models.weight_sets import Wanted, find_weights, weight_sets

CODE = re.compile(r"(?:GLOBAL|class|function) ([\w.]+)")  # what torch.load refused to call
RESAVE = "resave it as torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one network, and what their file says of them.

    state: weights and buffers on the CPU, under their plain names (no prefix, no `module.`, no
        `_orig_mod.`).
    metadata: everything beside the weights: epoch, accuracy, mean, std ...
    sha256: of the whole file, in hex.
    key: where in the file they were, as `@FILE#KEY` names it; "" at its top.
    prefix: what was taken off their names, as `backbone.`; "" for nothing but wrappers' names.
    left_out: names of the same dictionary that do not have this prefix.
    alike: keys of other weights in the file that fit as well.
    """

    path: Path
    state: dict[str, Tensor]
    metadata: dict[str, Any]
    sha256: str
    key: str = ""
    prefix: str = ""
    left_out: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """(mean, std), three floats each in units of [0, 1], if the metadata holds them."""
        held = self.metadata.get("normalization", self.metadata)
        if not isinstance(held, Mapping):
            return None
        mean, std = _three_floats(held.get("mean")), _three_floats(held.get("std"))
        return (mean, std) if mean and std and min(std) > 0 else None


def read_checkpoint(path: str | Path, key: str = "", wanted: Wanted | None = None) -> Checkpoint:
    """Read weights and metadata from a file; .safetensors, or anything that torch.save wrote.

    key: which of several sets of weights, as `@FILE#KEY`; wanted: what the model needs, so that
    the weights that fit best are taken; None takes the largest set (see weight_sets.py).

    Any nesting of the weights; torch's old format; tensors of any device. Raises InputError for a
    file that is missing, unreadable, truncated or holds no weights, and for a key that it lacks.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise InputError(f"checkpoint {path} is a folder: name a file in it")
    if not path.exists():
        raise InputError(f"no checkpoint {path}: check the path")
    try:
        sha256 = file_sha256(path)
    except OSError as error:
        raise InputError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
    held = read(path)
    sets = weight_sets(held)
    if not sets:
        what = f"a dict with {_some(held)}" if isinstance(held, Mapping) else type(held).__name__
        raise InputError(f"checkpoint {path} holds no weights at any depth, but {what}: {RESAVE}")
    found = find_weights(sets, path, wanted, key)
    return Checkpoint(
        path,
        found.state,
        found.beside,
        sha256,
        found.key,
        found.prefix,
        found.left_out,
        found.alike,
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def state_sha256(state: Mapping[str, Any]) -> str:
    """SHA-256 of weights, in hex: names, dtypes, shapes and bytes, in their order.

    Of what is no tensor (a module's extra state) only the name counts.
    """
    digest = hashlib.sha256()
    for key, value in state.items():
        if not isinstance(value, Tensor):
            digest.update(f"{key};".encode())
            continue
        digest.update(f"{key} {value.dtype} {tuple(value.shape)};".encode())
        value = value.detach().cpu()
        value = value.int_repr() if value.is_quantized else value.to_dense()
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"cannot read checkpoint {path}: it is truncated or no safetensors file "
            f"({brief(error)})"
        ) from error
    return {key: _from_json(text) for key, text in metadata.items()} | weights


def _read_torch(path: Path) -> Any:
    known = torch.serialization.get_safe_globals()
    plain = [item for item in PLAIN_DATA if item not in known]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(plain):
            warnings.simplefilter("ignore")  # of pickle protocols, in files that aren't pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a damaged file torch.load raises nearly anything
        text = str(error)
        if "TorchScript" in text:
            raise InputError(
                f"checkpoint {path} is a TorchScript program, which is never executed: {RESAVE}"
            ) from error
        code = CODE.search(text)
        if code and not _is_cut_in(path, code[1]):
            raise InputError(
                f"checkpoint {path} holds pickled code ({code[1]}), which is never executed: "
                f"{RESAVE}"
            ) from error
        raise InputError(
            f"cannot read checkpoint {path}: it is truncated or was not written by torch.save "
            f"({type(error).__name__}); copy it again or {RESAVE}"
        ) from error


def _is_cut_in(path: Path, code: str) -> bool:
    """Does torch's old format end within this name, of which torch.load then saw the beginning?"""
    if zipfile.is_zipfile(path):
        return False
    # `c module \n name \n` is how a pickle names what it calls; where the dot was is not known.
    parts = code.split(".")
    calls = [
        f"c{'.'.join(parts[:i])}\n{'.'.join(parts[i:])}\n".encode() for i in range(1, len(parts))
    ]
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        return all(held.find(call) < 0 for call in calls)


def _some(held: Mapping) -> str:
    keys = [str(key) for key in held]
    return ", ".join(keys[:4] or ["nothing"]) + (" ..." if len(keys) > 4 else "")


def _three_floats(value: Any) -> tuple[float, ...] | None:
    try:
        flat = np.asarray(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    if flat.size not in (1, 3) or not np.isfinite(flat).all():
        return None
    return tuple(np.broadcast_to(flat, 3).tolist())


def _from_json(text: str) -> Any:
    """A safetensors file's metadata are strings; numbers and lists are written in JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _number_dtype(code: str, *flags: bool) -> np.dtype:
    """numpy.dtype for numbers and text; objects and records, which hold pointers, are refused."""
    dtype = np.dtype(code, *flags)
    if dtype.kind not in "biufcSU":
        raise pickle.UnpicklingError(f"refused class numpy.dtype {code}")
    return dtype


def _plain_data() -> list:
    """What torch.load may build beside tensors: numpy's numbers and arrays, argparse's results."""
    scalar, array = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    kinds = dict.fromkeys(type(np.dtype(code)) for code in "?bBhHiIlLqQefdFDSU")
    return [
        argparse.Namespace,
        np.ndarray,
        (_number_dtype, "numpy.dtype"),
        *kinds,
        # numpy 1 and numpy 2 write different names for the same two functions
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
        *((array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    ]


PLAIN_DATA = _plain_data()
