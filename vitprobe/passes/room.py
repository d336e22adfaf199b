"""Whether what the readers keep fits the device: said before the first batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torchmetrics import Metric

from vitprobe.errors import InputError, option
from vitprobe.ops.wide import wide_home
from vitprobe.passes.free import free_on
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Reader

COPIES = 2  # of every sum: a metric keeps what it began with, too
COPIES_TO_MEET = 2  # more, where the sums of several processes come together


class NoRoom(InputError):
    """The sums do not fit the memory. needs: how many bytes, and what there is, in words."""

    def __init__(self, needs: str, changes: str):
        super().__init__(f"{needs}: use {changes}")
        self.needs = needs


def metrics_on(device: torch.device, reader: Reader, about: Mapping) -> dict[str, Metric]:
    """The reader's sums, all zero, made on this device (`meta`: without memory)."""
    with device:
        metrics = reader.metrics_of(about)
    for metric in metrics.values():
        metric.to(device)
    return metrics


def check_room(readers: Sequence[Reader], inputs: Inputs, processes: int) -> None:
    """There is memory for the sums of all readers and for what a batch needs beside them.

    readers: after `begin`. They are given their metrics without memory, on `meta`.

    Raises:
        NoRoom: there is not; with the number of bytes, and what to change.
    """
    for reader in readers:
        reader.metrics = metrics_on(torch.device("meta"), reader, reader.about)
    home = wide_home(inputs.device)
    there = free_on(home)
    loader = inputs.loader
    n = min(filter(None, (loader.batch_size, loader.examples)), default=0)
    n = n if loader.batch_size else 0  # of a DataLoader that does not say
    needed = [_bytes(reader, n, processes) for reader in readers]
    if there is None or sum(needed) <= there:
        return
    largest = readers[needed.index(max(needed))]
    changes = [largest.less()]
    fits = _batch_that_fits(readers, n, processes, there)
    if fits:
        changes.append(f"a smaller batch ({option('batch_size', fits)})")
    names = " and ".join(dict.fromkeys(reader.analysis for reader in readers))
    where = f"{home} has {_told(there)} free"
    what = " or ".join(filter(None, changes)) or "a machine with more memory"
    raise NoRoom(f"the sums of {names} need {_told(sum(needed))}, but {where}", what)


def _bytes(reader: Reader, n: int, processes: int) -> int:
    copies = COPIES + (COPIES_TO_MEET if processes > 1 else 0)
    return copies * bytes_of_sums(reader.metrics) + (reader.bytes_of_batch(n) if n else 0)


def bytes_of_sums(metrics: Mapping[str, Metric]) -> int:
    """Of all states, once."""
    return sum(getattr(m, name).nbytes for m in metrics.values() for name in m._defaults)


def _batch_that_fits(readers: Sequence[Reader], n: int, processes: int, there: int) -> int:
    """The largest batch below n for which there is memory; 0: there is none for any."""
    least = max(2, *(reader.least for reader in readers))
    low, high = least - 1, n
    while high - low > 1:
        middle = (low + high) // 2
        fits = sum(_bytes(reader, middle, processes) for reader in readers) <= there
        low, high = (middle, high) if fits else (low, middle)
    return low if low >= least else 0


def _told(count: int) -> str:
    return f"{count:,} bytes ({count / 1e9:.3g} GB)"
