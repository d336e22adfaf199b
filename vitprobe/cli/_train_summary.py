"""What `vitprobe train` says at its end."""

from __future__ import annotations

from vitprobe.cli._summary import new_console, say
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
