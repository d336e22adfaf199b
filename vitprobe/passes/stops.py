"""Signals while a pass runs: never in the middle of a batch."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vitprobe.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stops:
    """`with Stops() as stops`: a signal that would end the process ends the pass between batches.

    Inside `held` it waits until that is left; a second one does not wait. Then happens what would
    have happened at once: the handler of before, KeyboardInterrupt for Ctrl-C; and where the
    process would just have ended, `Stopped` is raised.

    listens: False leaves signals alone. Attribute whole: whether no batch was left in its middle.
    """

    def __init__(self, listens: bool = True) -> None:
        self.whole, self._listens = True, listens
        self._before: dict[int, object] = {}
        self._waiting: int | None = None
        self._held = False
        self._process = os.getpid()

    def __enter__(self) -> Stops:
        if self._listens and threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._came:  # else somebody changed it meanwhile
                signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """In here the sums are not whole."""
        self._held, self.whole = True, False
        try:
            yield
            self.whole = True
        finally:
            self._held = False
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._end(number, None)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self._held and self._waiting is None and os.getpid() == self._process:
            self._waiting = number
            return
        self._end(number, frame)

    def _end(self, number: int, frame: FrameType | None) -> None:
        handler = self._before.get(number, signal.SIG_DFL)
        if callable(handler):
            handler(number, frame)
        elif os.getpid() == self._process:
            raise Stopped(number)
        else:  # a child that was forked within ends as any other does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
