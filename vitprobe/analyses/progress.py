"""A bar of the examples done, at a terminal."""

from contextlib import contextmanager

from vitprobe.analyses.inputs import Inputs


@contextmanager
def progress_bar(shown: bool, inputs: Inputs):
    """A function that takes the number of examples done, and draws a bar where asked for."""
    if not shown:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    total, console = inputs.loader.examples, Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("examples", total=total and total * inputs.loader.passes)
        yield lambda done: progress.advance(task, done)
