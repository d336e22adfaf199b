"""Checkpoints are data: weights and plain values are read from a file, code in it is never run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.models.placeholder import Placeholder
from vitprobe.models.safetensors_file import read_safetensors
from vitprobe.models.torch_file import RESAVE, read_torch_file
from vitprobe.models.weight_sets import Wanted, find_weights, weight_sets


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
    if path.suffix == ".safetensors":
        weights, metadata = read_safetensors(path)
        held: Any = metadata | weights
    else:
        held = read_torch_file(path)
    sets = weight_sets(held)
    if not sets:
        raise InputError(
            f"checkpoint {path} holds no weights at any depth, but {_what(held)}: {RESAVE}"
        )
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


def _what(held: Any) -> str:
    """A file without weights, in a few words."""
    if isinstance(held, Placeholder):
        return f"an object {held!r} whose code is never run"
    if not isinstance(held, Mapping):
        return type(held).__name__
    keys = [str(key) for key in held]
    shown = ", ".join(keys[:4] or ["nothing"]) + (" ..." if len(keys) > 4 else "")
    objects = [value for value in held.values() if isinstance(value, Placeholder)]
    also = f" (of objects such as {objects[0]!r} code is never run)" if objects else ""
    return f"a dict with {shown}{also}"


def _three_floats(value: Any) -> tuple[float, ...] | None:
    try:
        flat = np.asarray(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    if flat.size not in (1, 3) or not np.isfinite(flat).all():
        return None
    return tuple(np.broadcast_to(flat, 3).tolist())
