"""Is this the very tensor that was seen before, with nothing written to it since?"""

from typing import Generic, TypeVar

import torch
from torch.multiprocessing.reductions import StorageWeakRef

Owner = TypeVar("Owner")


class SeenTensors(Generic[Owner]):
    """Remembers the tensors of one forward without keeping their memory.

    Two sites hold the very same activation when storage, offset, shape, strides, type and version
    counter agree; an in-place operation raises the version, so a ReLU that returns the object which
    the norm before it returned is another activation. A storage is known by its StorageImpl, not by
    its data pointer: the weak reference keeps that small object (not its data) from being
    freed, so that a later storage cannot take its place and pass for it.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple, Owner] = {}
        self._storages: dict[int, StorageWeakRef] = {}

    def first_owner(self, tensor: torch.Tensor, owner: Owner) -> Owner | None:
        """Who first gave this very tensor; `None` when it is new: `owner` is then remembered.

        Tensors of inference mode have no version counter, so every one of them is new.
        """
        if tensor.is_inference() or torch.is_inference_mode_enabled():
            return None
        storage = tensor.untyped_storage()
        key = (
            storage._cdata,
            tensor.storage_offset(),
            tensor.shape,
            tensor.stride(),
            tensor.dtype,
            tensor._version,
        )
        earlier = self._owners.setdefault(key, owner)
        if earlier is not owner:
            return earlier
        if storage._cdata not in self._storages:
            self._storages[storage._cdata] = StorageWeakRef(storage)
        return None
