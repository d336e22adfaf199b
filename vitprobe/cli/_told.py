"""What a command says before it computes: the data, and how long it may take."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.console import Console

from vitprobe.cli._summary import new_console, say
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.progress import Ahead, spoken
from vitprobe.passes.reader import Reader


class Told(Bar):
    """Prints what will be read, then after the first batch an estimate, then shows the bar."""

    def begin(self, inputs: Inputs, readers: Sequence[Reader], ahead: Ahead) -> None:
        self.console = new_console()
        with suppress(OSError):  # nobody reads it: that is told when the results are there
            for reader in readers:
                self.describe(self.console, inputs, reader)
            say(self.console, "data", self.data(inputs))
        self.start(ahead)
        self._ahead, self._started, self._first = ahead, time.monotonic(), True

    def describe(self, console: Console, inputs: Inputs, reader: Reader) -> None:
        """Print the models and their layers."""
        raise NotImplementedError

    def data(self, inputs: Inputs) -> str:
        """What is said of the images."""
        return data_line(inputs)

    def advance(self, done: int, error: Callable[[], float] | None = None) -> None:
        if self._first:
            self._first = False
            batches = self._ahead.batches or 0
            if batches > 1:
                first = time.monotonic() - self._started
                whole = f"{batches} batches of about {first:.2g} s"
                with suppress(OSError):
                    more = f"about {spoken(first * (batches - 1))} more"
                    say(self.console, "time", f"{more}: {whole}")
            self.show()
        super().advance(done, error)


def data_line(inputs: Inputs) -> str:
    """`digits test: 360 examples in 8 batches of 45, seeded order`."""
    loader = inputs.loader
    count = "examples, as many as there are," if loader.examples is None else ""
    count = count or f"{loader.examples:,} example{'' if loader.examples == 1 else 's'}"
    if loader.batches_per_pass:
        batches = loader.batches_per_pass * loader.passes
        count += f"{f', {loader.passes} passes' if loader.passes > 1 else ''} in {batches} batch"
        count += "" if batches == 1 else "es"
        size = loader.batch_size and min(filter(None, (loader.batch_size, loader.examples)))
        count += f" of {size}" if size else ""
    elif loader.batch_size:
        count += f" in batches of {loader.batch_size}"
    name = " ".join(filter(None, (loader.name, inputs.split)))
    return f"{name}: {count}, {loader.order} order"
