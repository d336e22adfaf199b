"""The processes of one pass: each has its batches, and now and then their sums meet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from vitprobe.passes.processes import Processes
from vitprobe.passes.reader import Reader
from vitprobe.passes.room import metrics_on
from vitprobe.passes.share import Share
from vitprobe.passes.sums import Part, Sums, added


@dataclass
class Met:
    """What a meeting gives to every process.

    sums: of all of them. ended: whether all are through with their batches. stop: the number of a
    signal that one of them got, or 0.
    """

    sums: Sums
    ended: bool
    stop: int


class Group:
    """One process, or those of torchrun: batch t of a share belongs to process t mod W.

    They meet after the same number of batches each, chosen so that `every` seconds lie between two
    meetings; nothing else makes one wait for another. One that has no batch left, or is stopped,
    comes to the next meeting at once, and whoever has ended comes to all that follow.

    Args:
        processes: from `passes.processes`. device: where collectives of this group take tensors.
        every: seconds.
    """

    def __init__(self, processes: Processes, device: torch.device, every: float):
        self.rank, self.count, self.first = processes.rank, processes.count, processes.first
        self.same = processes.same
        self._device = device if device.type == "cuda" else torch.device("cpu")
        self._every, self._batches = every, 0
        self._next = 1  # batch after which the first meeting is: it tells how long one takes
        self._began = self._last = time.monotonic()

    def share(self, share: Share) -> Share:
        """Of this share, what this process does."""
        return share.part(self.rank, self.count)

    def due(self) -> bool:
        """To be asked after each batch: is it time to meet?"""
        self._batches += 1
        if self.count == 1:
            return time.monotonic() - self._last >= self._every
        return self._batches >= self._next

    def meet(
        self, sums: Sums, readers: Sequence[Reader], ended: bool = False, stop: int = 0
    ) -> Met:
        """The sums of all processes, in each of them; their own go on as they are.

        ended: no batch is left here. stop: the number of the signal that came here, or 0.
        """
        if self.count == 1:
            self._last = time.monotonic()
            return Met(sums, ended, stop)
        seconds = (time.monotonic() - self._began) / max(self._batches, 1)
        about = (ended, stop, seconds if self._batches else 0.0, sums.told())
        everyone: list = [None] * self.count
        dist.all_gather_object(everyone, about)
        of_a_batch = max(each[2] for each in everyone)
        self._next = self._batches + max(1, round(self._every / max(of_a_batch, 1e-3)))
        whole = _like(sums, readers, self._device)
        whole.set_states(self._reduced(sums))
        for _, _, _, told in everyone:
            whole.add_told(told)
        return Met(whole, all(each[0] for each in everyone), max(each[1] for each in everyone))

    def _reduced(self, sums: Sums) -> dict[str, Tensor]:
        """Every state over all processes: one all-reduce of all that is added, one of all of which
        the least is taken; of lists of the largest each gets everyone's."""
        states, ways = sums.states(), sums.reductions()
        reduced: dict[str, Tensor] = {}
        for way, dtype, operation in (
            ("sum", torch.float64, dist.ReduceOp.SUM),  # counts are exact in it, up to 2^53
            ("min", torch.int64, dist.ReduceOp.MIN),
            ("top", torch.float64, None),
        ):
            some = {name: x for name, x in states.items() if ways[name] == way}
            if not some:
                continue
            flat = torch.cat([x.detach().to(dtype).reshape(-1) for x in some.values()])
            flat = flat.to(self._device)
            if operation is None:
                everyones = [torch.empty_like(flat) for _ in range(self.count)]
                dist.all_gather(everyones, flat)
            else:
                dist.all_reduce(flat, operation)
                everyones = [flat]
            split = [each.split([x.numel() for x in some.values()]) for each in everyones]
            for (name, x), *parts in zip(some.items(), *split, strict=True):
                values = [part.reshape(x.shape) for part in parts]
                reduced[name] = added(way, values).to(x)
        return reduced


def _like(sums: Sums, readers: Sequence[Reader], home: torch.device) -> Sums:
    """Of the same run, and empty."""
    parts = []
    for part, reader in zip(sums.parts, readers, strict=True):
        metrics = metrics_on(home, reader, part.about)
        parts.append(Part(part.analysis, part.version, part.about, metrics))
    return Sums(parts, sums.passes, sums.device)
