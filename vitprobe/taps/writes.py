"""Was a tensor written to after it was seen? Answered without keeping its memory."""

import torch


class WriteWatch:
    """Watches one tensor: `written()` is true from the first in-place operation on it onwards.

    All views of a tensor, and what `detach` makes of it, share one version counter. The watch keeps
    such a detached tensor whose data was then taken away: the counter stays, the memory does not.
    Writes through `.data` do not count; under torch.inference_mode tensors have no counter, and
    every tensor passes for written.
    """

    def __init__(self, tensor: torch.Tensor):
        self._counter = None
        if tensor.is_inference() or torch.is_inference_mode_enabled():
            return
        self._counter = tensor.detach()
        self._counter.data = tensor.new_empty(0)
        self._version = tensor._version

    def written(self) -> bool:
        """Whether anything was written since."""
        return self._counter is None or self._counter._version != self._version
