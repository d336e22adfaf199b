"""What sums give: the results of every reader, without models or images."""

from collections.abc import Sequence

import xarray as xr

from vitprobe.data import PairedLoader
from vitprobe.data.layout import listed
from vitprobe.errors import InputError, option, say
from vitprobe.passes.reader import Ran, Reader
from vitprobe.passes.sums import Sums


def check_batches(reader: Reader, loader: PairedLoader) -> None:
    """Raise InputError where no batch will have as many examples as the reader needs."""
    size, examples = loader.batch_size, loader.examples
    most = min(filter(None, (size, examples)), default=reader.least)
    if most < reader.least:
        more = "batch_size" if most == size else "examples"
        raise InputError(
            f"{reader.analysis} needs {reader.least} examples or more in a batch, not {most}: "
            f"give more ({option(more)})"
        )


def results_of(sums: Sums, readers: Sequence[type[Reader] | Reader]) -> list[list[xr.Dataset]]:
    """The results that sums give, for each reader (or its class).

    Raises:
        InputError: there are no images, or no batch had as many as a reader needs.
    """
    shared: list[str] = []
    if sums.skipped:
        say(shared, f"{len(sums.skipped)} unreadable images were skipped: {listed(sums.skipped)}")
    found = []
    for part, reader in zip(sums.parts, readers, strict=True):
        tally = part.tally.compute()
        notes = [*part.about["notes"], *shared, *sums.notes]
        if not tally["examples"]:
            raise InputError(
                f"no batch has {reader.least} examples or more, which {reader.analysis} needs"
                if tally["dropped"]
                else "there are no images"
            )
        if tally["dropped"]:
            were = "example was" if tally["dropped"] == 1 else "examples were"
            less = f"{tally['dropped']} {were} dropped, in batches of fewer than"
            say(notes, f"{less} {reader.least}")
        ran = Ran(
            tally["examples"],
            tally["batches"],
            sums.passes,
            sums.device,
            sums.seconds,
            notes,
            sums.tolerance,
            sums.incomplete,
        )
        found.append(reader.results(part.about, part.metrics, ran))
    return found
