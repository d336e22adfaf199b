"""How a pass goes: a bar at a terminal or in a notebook, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from vitprobe.passes.inputs import Inputs
from vitprobe.passes.notebook import NotebookBar, in_notebook
from vitprobe.passes.progress import Ahead, Clock, Going, Progress
from vitprobe.passes.reader import Reader

LINE_EVERY = 10.0  # seconds, where nothing can be drawn anew
LOOK_EVERY = 5.0  # seconds between two looks at the standard errors, or more:
LOOK_SHARE = 200  # a look may take one part in so many of the time


class Bar(Progress):
    """Shows what is done of all, the rate, the time left and the largest standard error.

    In a notebook it is in the cell's output. Where stderr is no terminal, or a dumb one, it is a
    line every 10 s, and none of a run that is shorter. clock: gives seconds.
    """

    _drawn: _Terminal | NotebookBar | None = None  # while it is shown

    def __init__(self, clock: Clock = time.monotonic):
        self._clock = clock

    def __exit__(self, *error) -> None:
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None

    def begin(self, inputs: Inputs, readers: Sequence[Reader], ahead: Ahead) -> None:
        self.start(ahead)
        self.show()

    def start(self, ahead: Ahead) -> None:
        """From now on time counts."""
        self.going = Going(ahead, self._clock)
        self._line = self._clock() + LINE_EVERY
        self._look = self._clock() + LOOK_EVERY

    def show(self) -> None:
        """From now on it is seen."""
        if in_notebook():
            self._drawn = NotebookBar(self.going)
        else:
            from rich.console import Console

            console = Console(stderr=True)
            # rich takes FORCE_COLOR for a terminal; a file keeps what was to be drawn over
            if console.file.isatty() and not console.is_dumb_terminal:
                self._drawn = _Terminal(console, self.going)
        if self._drawn is not None:
            self._drawn.start()
            self._drawn.draw()

    def advance(self, done: int, error: Callable[[], float] | None = None) -> None:
        self.going.advance(done)
        if error is not None and self._clock() >= self._look:
            began = self._clock()
            self.going.error = error()
            now = self._clock()
            self._look = now + max(LOOK_EVERY, LOOK_SHARE * (now - began))
        if self._drawn is not None:
            self._drawn.draw()
        elif self._clock() >= self._line:
            self._line = self._clock() + LINE_EVERY
            with suppress(OSError):  # nobody reads it
                print(f"vitprobe: {self.going.words()}", file=sys.stderr, flush=True)


class _Terminal:
    """The bar of rich, with our own words: they are those of the line."""

    def __init__(self, console, going: Going):
        from rich.progress import BarColumn, ProgressColumn
        from rich.progress import Progress as Drawn
        from rich.table import Column
        from rich.text import Text

        class Words(ProgressColumn):
            def render(self, task) -> Text:
                return Text(going.words(), no_wrap=True, overflow="ellipsis")

        self._going = going
        self._bar = Drawn(
            BarColumn(bar_width=None),
            Words(table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=4,
            redirect_stdout=False,  # what is printed meanwhile keeps its way: stdout may be a file
        )
        self._task = self._bar.add_task("", total=going.total)

    def start(self) -> None:
        self._bar.start()

    def draw(self) -> None:
        self._bar.update(self._task, completed=self._going.done)

    def stop(self) -> None:
        self._bar.stop()
