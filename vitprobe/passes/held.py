"""Activations held for a while inside a forward, to be reduced many at once or beside it."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from vitprobe.errors import InputError, option
from vitprobe.passes.schedule import SameStream
from vitprobe.taps import Site, WriteWatch

#: Features from which one activation fills a GPU, and gains nothing from company.
ALONE = 65_536

Reduce = Callable[[list[int], list[Tensor]], None]  # rows, their activations


class Held:
    """Holds activations up to a number of bytes, and hands them to `reduce` together.

    Only what the forward does not write to later may be held: sites that the survey saw written are
    refused, and at the forward's end it is checked for those that were held.

    Args:
        reduce: takes rows and their activations; called on `stream`.
        limit: bytes of storage held at any time. Where the work is done beside the forward, a half
            gathers while the other half is read.
        stream: where the work is done.
    """

    def __init__(self, reduce: Reduce, limit: int, stream: SameStream):
        self._reduce, self._stream = reduce, stream
        self._share = limit // 2 if stream.beside else limit
        self._rows: list[int] = []
        self._gathered: list[Tensor] = []
        self._storages: set[int] = set()
        self._bytes = 0
        self._read: list[Tensor] = []  # by work that may not be done yet
        self._watches: list[tuple[str, WriteWatch]] = []

    def takes(self, site: Site, x: Tensor) -> bool:
        """Whether this activation may wait, and gains by it."""
        gains = self._stream.beside or x[0].numel() < ALONE
        return gains and not site.written and not x.is_inference() and _bytes(x) <= self._share

    def add(self, site: Site, row: int, x: Tensor) -> None:
        """Hold x, which `takes` accepted; what is held already goes first if there is no room."""
        storage = x.untyped_storage()
        if storage._cdata not in self._storages:
            if self._bytes + storage.nbytes() > self._share:
                self._send()
            self._storages.add(storage._cdata)
            self._bytes += storage.nbytes()
        self._rows.append(row)
        self._gathered.append(x)
        self._watches.append((site.name, WriteWatch(x)))

    def finish(self) -> None:
        """The forward's end: all is reduced, as seen from the forward's stream, and nothing held.

        Raises:
            InputError: something held was written to after all.
        """
        self._send()
        self.release()
        written = [name for name, watch in self._watches if watch.written()]
        self._watches.clear()
        if written:
            raise InputError(
                f"layer {written[0]!r} was overwritten later in the forward, but not in the "
                f"survey: use {option('defer_bytes', 0)}"
            )

    def release(self) -> None:
        """Let go of everything; what comes next in the forward's stream waits for the work."""
        self._stream.join()
        self._read = []
        self._forget_gathered()

    def _send(self) -> None:
        if not self._rows:
            return
        rows, xs = self._rows, self._gathered
        if self._read:  # they are let go when the forward's stream waits for their work
            self._stream.join()
        self._forget_gathered()
        self._stream.run(partial(self._reduce, rows, xs))
        self._read = xs if self._stream.beside else []

    def _forget_gathered(self) -> None:
        self._rows, self._gathered, self._storages, self._bytes = [], [], set(), 0


def _bytes(x: Tensor) -> int:
    return x.untyped_storage().nbytes()
