"""The storages of a file, which its pickle speaks of and which lie outside the pickle."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vitprobe.models.reading.limits import Refused
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.tensor_calls import as_dtype, storage_dtype


class Storages:
    """Gives a flat tensor for what the pickle says of a storage; it is the `persistent_load`.

    bytes_of: the bytes of a storage, uint8 (n,), from its key and how many the pickle says; asked
        once for a key, so that what shared memory still does.
    bytes: these, by key.
    """

    def __init__(self, bytes_of: Callable[[str, int], Tensor]):
        self.bytes_of = bytes_of
        self.bytes: dict[str, Tensor] = {}
        self.dtypes: dict[str, torch.dtype] = {}  # the first of each key
        self.flat: dict[tuple, Tensor] = {}

    def swap(self, order: str = "little") -> None:
        """Put elements of this byte order, "little" or "big", into that of the machine."""
        if order not in ("little", "big"):
            raise Refused("its byte order is unknown")
        if order != sys.byteorder:
            for key, dtype in self.dtypes.items():
                if dtype.itemsize > 1:
                    self.bytes[key].untyped_storage().byteswap(dtype)

    def __call__(self, saved_id: Any) -> Any:
        """saved_id: ("storage", class, key, device, elements[, part]); or, of the old format,
        ("module", class, its source), which stands for the class. Raises Refused."""
        match saved_id:
            case (str() as tag, Placeholder() as kind, str() as key, _, int() as count, *part) if (
                tag == "storage"
            ):
                flat = self._flat(key, storage_dtype(kind), count)
                return self._part(flat, *part[0]) if part and type(part[0]) is tuple else flat
            case (str() as tag, Placeholder() as kind, *_) if tag == "module":
                return kind
        raise Refused("it speaks of something outside its pickle that is no storage")

    def _flat(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        flat = self.flat.get((key, dtype, count))
        if flat is None:
            nbytes = count * dtype.itemsize
            if key not in self.bytes:
                self.bytes[key] = self.bytes_of(key, nbytes)
                self.dtypes[key] = dtype
            if not 0 <= nbytes <= self.bytes[key].numel():
                raise Refused("a storage is shorter than its file says")
            flat = self.flat[key, dtype, count] = as_dtype(self.bytes[key][:nbytes], dtype)
        return flat

    def _part(self, flat: Tensor, key: Any = None, start: Any = None, count: Any = None) -> Tensor:
        """A storage that is a part of another, as the old format has them."""
        if type(key) is not str or type(start) is not int or type(count) is not int:
            raise Refused("a part of a storage is none")
        if not (start >= 0 and 0 <= count <= flat.numel() - start):
            raise Refused("a part of a storage reaches past its end")
        return self.flat.setdefault((key, flat.dtype, start, count), flat[start : start + count])
