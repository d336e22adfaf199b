"""When activations are reduced: in the hook, in groups, or on a side stream beside the forward."""

import os
from collections.abc import Callable

import torch

SCHEDULES = {
    "inline": "each in its hook",
    "grouped": "small ones many at once",
    "overlapped": "beside the forward, on a stream of their own",
}
# The other two stay off until a results file of a real GPU shows them faster (bench/gpu.py).
DEFAULT_SCHEDULE = "inline"
ENVIRONMENT = "VITPROBE_SCHEDULE"

_SHARE_OF_MEMORY = 32


def chosen_schedule() -> str:
    """The schedule's name: what VITPROBE_SCHEDULE says, else the default.

    Raises:
        ValueError: the variable names none.
    """
    name = os.environ.get(ENVIRONMENT) or DEFAULT_SCHEDULE
    if name not in SCHEDULES:
        raise ValueError(f"{ENVIRONMENT} is {', '.join(SCHEDULES)}, not {name!r}")
    return name


def default_defer_bytes(device: torch.device) -> int:
    """Activations that may be held: 1/32 of a GPU's memory; on a CPU none, since a hook
    finds them in the cache."""
    if device.type != "cuda":
        return 0
    return torch.cuda.get_device_properties(device).total_memory // _SHARE_OF_MEMORY


def queued(x: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A copy of x on the device; the host does not wait for a GPU."""
    dtype = dtype or x.dtype
    if device.type == "cuda" and x.device.type == "cpu":
        return x.to(dtype).pin_memory().to(device, non_blocking=True)
    return x.to(device, dtype, copy=True)


class SameStream:
    """Work in the order of the forward: when it has been given, what it reads may be let go."""

    beside = False

    def run(self, work: Callable[[], None]) -> None:
        """Do it now, or queue it behind what the forward has queued."""
        work()

    def join(self) -> None:
        """What comes next waits for all work."""


class SideStream(SameStream):
    """Work beside the forward: it waits for what the forward has queued so far, and the forward
    goes on. Nothing waits on the host.

    What the work reads must be kept until `join`: tensors of the forward's stream that are let go
    after it are given out again behind the work. (`Tensor.record_stream` would let them go sooner,
    but keep their memory until the host sees that the work is done: as the host runs ahead of
    the GPU, held memory would have no bound.)
    """

    beside = True

    def __init__(self, device: torch.device):
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()

    def join(self) -> None:
        torch.cuda.current_stream(self._device).wait_stream(self._stream)


def stream_and_limit(device: torch.device, defer_bytes: int | None) -> tuple[SameStream, int]:
    """Where held activations are reduced, and how many bytes of them may be held: 0 where each is
    reduced in its hook."""
    schedule = chosen_schedule()
    if schedule == "inline":
        return SameStream(), 0
    limit = default_defer_bytes(device) if defer_bytes is None else defer_bytes
    beside = schedule == "overlapped" and device.type == "cuda"
    return SideStream(device) if beside else SameStream(), limit
