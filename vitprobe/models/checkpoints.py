"""Checkpoints are data: weights and plain values are read from a file, code in it is never run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.files import open_file, regular_file
from vitprobe.models.reading.placeholder import Placeholder, unread_kind
from vitprobe.models.reading.safetensors_file import read_safetensors
from vitprobe.models.reading.torch_file import RESAVE, read_torch_file
from vitprobe.models.weight_sets import Wanted, find_weights, weight_sets
from vitprobe.text import SHORT, printable


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one network, and what their file says of them.

    state: weights and buffers on the CPU, under their plain names (no prefix, no `module.`, no
        `_orig_mod.`).
    metadata: everything beside the weights, unchecked: see stored.py for what is read of it.
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
    def numbers(self) -> int:
        """How many numbers its weights are made of; those that several share count once."""
        storages = {
            weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes()
            // weight.element_size()
            for weight in self.state.values()
        }
        return sum(storages.values())


def read_checkpoint(path: str | Path, key: str = "", wanted: Wanted | None = None) -> Checkpoint:
    """Read weights and metadata from a file; .safetensors, or anything that torch.save wrote.

    key: which of several sets of weights, as `@FILE#KEY`; wanted: what the model needs, so that
    the weights that fit best are taken; None takes the largest set (see weight_sets.py).

    Any nesting of the weights; torch's old format; tensors of any device. Raises InputError for a
    file that is missing, unreadable, truncated or holds no weights, and for a key that it lacks.
    """
    path = regular_file(path, "checkpoint")
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
    with open_file(path, "file") as file:
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
    keys = [printable(key, SHORT) for key in list(held)[:4] if isinstance(key, str | int)]
    named = ", ".join(keys or ["nothing"]) + (" ..." if len(held) > 4 else "")
    objects = [value for value in held.values() if isinstance(value, Placeholder)]
    if kinds := sorted({kind for value in objects if (kind := unread_kind(value))}):
        return f"a dict with {named}, whose weights are {', '.join(kinds)}"
    also = f" (of objects such as {objects[0]!r} code is never run)" if objects else ""
    return f"a dict with {named}{also}"
