"""What `vitprobe train` says at its end, and the page of its run."""

from __future__ import annotations

from vitprobe.cli._ending import note
from vitprobe.cli._report_file import write_page
from vitprobe.cli._summary import new_console, say
from vitprobe.errors import InputError
from vitprobe.passes.processes import writes
from vitprobe.training import TrainingResult


def print_summary(result: TrainingResult) -> None:
    """The chosen epoch, the files, and what to type next; only once under torchrun."""
    if not writes():
        return
    console = new_console()
    row = {name: values[result.best_epoch - 1] for name, values in result.history.items()}
    epochs = result.settings.epochs
    console.print()
    say(
        console,
        "best",
        f"epoch {result.best_epoch} of {epochs} by validation ({row['val_accuracy']:.1%}): "
        f"test accuracy {result.test_accuracy:.1%}",
    )
    say(console, "seconds", f"{result.seconds:.1f}")
    for path in result.files:
        say(console, "wrote", str(path))
    if result.kept:
        first, last = result.kept[0], result.kept[-1]
        say(console, "kept", f"weights of {len(result.kept)} epochs: {first} to {last.name}")
    say(console, "use", f"vitprobe cka --models {result.spec}", whole=True)


def write_report(result: TrainingResult, overwrite: bool) -> None:
    """The page of a run; where there can be none, a note: the run itself is done."""
    if not writes():
        return
    (table,) = (path for path in result.files if path.suffix == ".csv")
    try:
        say(new_console(), "wrote", str(write_page([table], overwrite=overwrite)))
    except InputError as error:
        note(f"there is no page: {error}")
