"""What the command of every analysis does: one run of a name at a time, begun or gone on with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import xarray as xr

from vitprobe.cli._ending import first_process, note
from vitprobe.cli._folder import FolderWriters, result_files
from vitprobe.cli._names import run_words
from vitprobe.cli._options import RunOptions
from vitprobe.cli._output import ResultFiles, Writers
from vitprobe.cli._partial import Place, find
from vitprobe.cli._report_file import write_page
from vitprobe.cli._summary import new_console, say
from vitprobe.cli._told import Told
from vitprobe.cli._warned import plain_warnings, require_kernels
from vitprobe.errors import InputError, Stopped, unheard
from vitprobe.input_options import InputOptions
from vitprobe.lock import Lock
from vitprobe.passes.inputs import DataLike, Inputs, prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.processes import processes
from vitprobe.passes.reader import Reader
from vitprobe.passes.run import run as run_pass
from vitprobe.passes.share import Share
from vitprobe.passes.subjects import ModelLike
from vitprobe.text import printable
from vitprobe.writing import WRITTEN


def analyse(
    reader: Reader,
    models: Sequence[ModelLike],
    dataset: DataLike,
    inputs: InputOptions,
    run: RunOptions,
    writers: Writers | FolderWriters,
    told: Told,
    print_summary: Callable[[list[xr.Dataset], list[Path]], None],
    *,
    passes: int = 1,
    beside: Callable[[Inputs], list] | None = None,
) -> list[Path]:
    """Models and images to results in files, or to the partial of a share.

    beside: what comes of the models without a pass, to be written and told with the results.

    What a run has so far is saved beside its results as `NAME.partial`, where NAME is that of its
    only result, or what all of them have in common (and of a share as `NAME.shard-3-of-8.partial`).
    It goes away when the results are there; a share's stays. Of several processes (torchrun) the
    first one writes and speaks.

    Returns:
        The results' files (.nc); [] of a share, and in every process but the first.

    Raises:
        InputError: what was asked for cannot be done, or another process does it.
        SaveFailed: what there is so far could not be written.
    """
    share = None if run.shard is None else Share.read(run.shard)
    files = result_files(
        run.output, writers, name=run.name, overwrite=run.overwrite, report=run.report
    )
    with plain_warnings() if first_process() else unheard():
        require_kernels(inputs.device)
        images = prepare(models, dataset, inputs, passes=passes)
        with processes(images.device) as some:
            if not some.first:
                if some.same(lambda: True):
                    keeper = Keeper(None, share, run.save_every, run.resume)
                    run_pass(images, [reader], None, keeper, run.tolerance)
                return []
            files.settle(reader.facts(images), run_words(inputs, reader.analysis))
            with _alone(files, share):
                place = find(files, reader, images, run, share)
                if not some.same(lambda: not (run.resume and _finished(files, place, run))):
                    return list(files.there())
                _tell_beginning(place, images, run)
                keeper = Keeper(place.path, share, run.save_every, run.resume)
                try:
                    bar = None if run.quiet else told
                    results = run_pass(images, [reader], bar, keeper, run.tolerance)
                    if share is not None:
                        _tell_share(place.path, share, run)
                        return []
                    results[0] += beside(images) if beside else []
                    paths = files.save(results[0])
                except Stopped as stop:
                    if WRITTEN:  # the results are there
                        keeper.forget()
                    elif keeper.good:  # as the figures were made, for instance
                        stop.left = stop.left or keeper.left
                    raise
                keeper.forget()
                there = list(files.there())
    if not run.quiet:
        print_summary(results[0], paths)
    return there


@contextmanager
def _alone(files: ResultFiles, share: Share | None) -> Iterator[None]:
    """In here no other process has this run, or this share of it."""
    folder, name = files.folder, files.stem + (share.suffix if share else "")
    what = f"the run {printable(folder / name)}"
    lock = Lock(folder / f".{name}.lock", what, "give another --name or --output")
    made = not folder.exists()
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.take()
        except OSError as error:
            why = f"cannot write to --output {printable(folder)}: {error.strerror or error}"
            raise InputError(f"{why}; name another folder") from error
        try:
            if lock.note:
                note(lock.note)
            yield
        finally:
            lock.release()
    finally:
        if made:
            with suppress(OSError):  # it stays where it holds something
                folder.rmdir()


def _finished(files: ResultFiles, place: Place, run: RunOptions) -> bool:
    """Say so where nothing is left to do."""
    if place.saved is not None:
        if not (run.shard and place.saved.complete):
            return False
        _say(run, "finished", f"share {run.shard} of this run is in {printable(place.path)}")
        return True
    held = {} if run.shard else files.there()
    if not held or not all(_as_fine(attributes, run.tolerance) for attributes in held.values()):
        return False
    paths = ", ".join(map(printable, held))
    _say(run, "finished", f"the results of this run are there: {paths}")
    if run.report:
        page = write_page(files.shown(), files.page, overwrite=run.overwrite)
        _say(run, "wrote", printable(page))
    return True


def _as_fine(held: Mapping[str, object], tolerance: float | None) -> bool:
    """Whether a result that is there is as precise as is asked for now."""
    reached = held.get("tolerance")
    if held.get("incomplete"):  # merged of some of its shares
        return False
    return reached is None or (tolerance is not None and reached <= tolerance)


def _tell_beginning(place: Place, images: Inputs, run: RunOptions) -> None:
    where = printable(place.path)
    if place.saved is None:
        if run.resume:
            note(f"there is no {where} to go on from: this run starts")
        return
    total = images.loader.total
    of_all = "" if total is None else f" of {len(place.saved.share.numbers(total))}"
    done = f"{len(place.saved.done)}{of_all} batches are done"
    if run.resume:
        _say(run, "resumed", f"{where}: {done}")
    else:
        note(f"{done} in {where}, which --resume would go on from: this run starts afresh")


def _tell_share(path: Path, share: Share, run: RunOptions) -> None:
    _say(run, "share", f"{share} is in {printable(path)}")
    every = path.name.replace(share.suffix, f".shard-*-of-{share.count}")
    if share.count > 1:
        every = printable(path.with_name(every))
        page = " --report" if run.report else ""
        _say(run, "next", f"where all shares are: vitprobe merge {every}{page}")


def _say(run: RunOptions, label: str, text: str) -> None:
    if first_process() and not run.quiet:
        with suppress(OSError):  # nobody reads it
            say(new_console(), label, text)
