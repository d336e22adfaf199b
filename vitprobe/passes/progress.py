"""What a pass tells of itself while it runs, and a bar of it."""

from collections.abc import Sequence

from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Reader


class Progress:
    """Is told by a pass what it does, inside `with`; this one keeps it to itself."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error) -> None:
        pass

    def begin(self, inputs: Inputs, readers: Sequence[Reader]) -> None:
        """What will be read is known, and no batch was computed yet."""

    def advance(self, n: int) -> None:
        """A batch of n examples was computed."""


class Bar(Progress):
    """A bar of the examples done, on stderr, where that is a terminal."""

    _bar = None

    def __exit__(self, *error) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, inputs: Inputs, readers: Sequence[Reader]) -> None:
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        hidden = not console.is_terminal
        # what is printed meanwhile keeps its own way: stdout may be a file
        self._bar = RichProgress(
            console=console, transient=True, disable=hidden, redirect_stdout=False
        )
        self._bar.start()
        total = inputs.loader.examples
        total = total and total * inputs.loader.passes
        self._task = self._bar.add_task("examples", total=total)

    def advance(self, n: int) -> None:
        self._bar.advance(self._task, n)
