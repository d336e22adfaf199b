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
        self._alive: dict[int, tuple[StorageWeakRef, dict[tuple, Owner]]] = {}

    def first_owner(self, tensor: torch.Tensor, owner: Owner) -> Owner | None:
        """Who first gave this very tensor; `None` when it is new: `owner` is then remembered.

        Tensors of inference mode have no version counter, so every one of them is new.
        """
        if tensor.is_inference() or torch.is_inference_mode_enabled():
            return None
        self._forget_the_freed()
        storage = tensor.untyped_storage()
        if storage._cdata not in self._alive:
            self._alive[storage._cdata] = (StorageWeakRef(storage), {})
        owners = self._alive[storage._cdata][1]
        version = tensor._version
        key = (tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype, version)
        earlier = owners.setdefault(key, owner)
        return None if earlier is owner else earlier

    def _forget_the_freed(self) -> None:
        # At once, not at the forward's end: small objects left between large freed ones split the
        # heap, and hundreds of megabytes stay with the process.
        freed = [key for key, (reference, _) in self._alive.items() if reference.expired()]
        for key in freed:
            del self._alive[key]
