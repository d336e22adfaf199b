"""Several analyses in one pass over the images."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr
from typing_extensions import Unpack

from vitprobe.errors import InputError
from vitprobe.input_options import SAVE_EVERY, ImageOptions, InputOptions, takes_inputs
from vitprobe.passes.bar import Bar
from vitprobe.passes.inputs import DataLike, prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Progress
from vitprobe.passes.reader import Reader
from vitprobe.passes.run import run as run_pass
from vitprobe.passes.share import Share
from vitprobe.passes.subjects import ModelLike, listed


@takes_inputs()
def run(
    readers: Sequence[Reader],
    models: ModelLike | Sequence[ModelLike],
    data: DataLike = "digits",
    *,
    passes: int = 1,
    partial: str | Path | None = None,
    resume: bool = False,
    save_every: float = SAVE_EVERY,
    shard: str | None = None,
    tolerance: float | None = None,
    progress: bool = False,
    **inputs: Unpack[ImageOptions],
) -> list[list[xr.Dataset]]:
    """Several analyses of some models, from one forward of each model for each batch.

    >>> readers = [vitprobe.CKAReader("blocks"), vitprobe.AttentionReader()]
    >>> (cka, *_), (attention,) = vitprobe.run(readers, "vit", examples=64)

    Args:
        readers: what is wanted: `CKAReader`, `AttentionReader`, `HeadSubsetsReader` or your own,
            each for one run.
        models: one or more, as for `vitprobe.cka`.
        data: as for `vitprobe.cka`.
        passes: times through the examples, each in a new order.
        partial: a file where the sums are saved on the way; it stays, and holds all of them when
            the run is done.
        resume: go on from `partial`, where it is there.
        save_every: seconds between two saves.
        shard: `"3/8"`: do every eighth batch, from the third on, and leave it in `partial`, for
            `vitprobe.merge`.
        tolerance: end when every standard error is below this; looked at when it is time to save,
            from 8 batches on.
        progress: show how far it is on stderr: a bar, or where that is no terminal a line every
            10 s.
        {inputs}

    Returns:
        For each reader its Datasets, as the function of its own would give them; [] for a shard.

    Raises:
        InputError: what was asked for cannot be done; one line says what to do.
    """
    if isinstance(readers, Reader):
        raise InputError("readers are given as a list: [vitprobe.CKAReader()]")
    if not readers:
        raise InputError("no reader was given: vitprobe.run([vitprobe.CKAReader()], 'vit')")
    if shard is not None and partial is None:
        raise InputError("a shard is left in a file: give partial='NAME.partial'")
    if resume and partial is None:
        raise InputError("resume goes on from a file: give partial='NAME.partial'")
    keeper = Keeper(
        None if partial is None else Path(partial),
        None if shard is None else Share.read(shard),
        save_every,
        resume,
    )
    given = prepare(listed(models), data, InputOptions(**inputs), passes=passes)
    return run_pass(given, readers, Bar() if progress else Progress(), keeper, tolerance)
