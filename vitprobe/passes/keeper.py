"""Nothing of a run is lost: its sums go to a file now and then, and it goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError, SaveFailed, option
from vitprobe.input_options import SAVE_EVERY
from vitprobe.passes.identity import check_same, outlines
from vitprobe.passes.partial import Saved, read_partial, write_partial
from vitprobe.passes.share import Share
from vitprobe.passes.sums import Sums
from vitprobe.text import printable


class Keeper:
    """Saves the sums of one run, or of a share of it.

    path: the file; None: nothing is saved. share: which batches it is to hold, for a file that is
    to be merged with those of the other shares; None: all, for results. every: seconds. resume: go
    on from the file, where there is one.

    Raises:
        InputError: seconds that make no sense.
    """

    def __init__(
        self,
        path: Path | None = None,
        share: Share | None = None,
        every: float = SAVE_EVERY,
        resume: bool = False,
    ):
        if not every > 0:
            raise InputError(f"{option('save_every')} takes seconds above 0, not {every:g}")
        self.path, self.every, self.resume = path, every, resume
        self.share, self.of_share = share or Share(), share is not None
        self.good = False  # whether the file holds something of this run

    def earlier(self, known: Sequence[Mapping[str, Any]]) -> Saved | None:
        """What to go on from.

        known: of each reader what is known before the models were looked at: see `known_parts`.

        Raises:
            InputError: it cannot be read, or is of another run, or of another share of this one.
        """
        if not self.resume or self.path is None or not self.path.exists():
            return None
        saved = read_partial(self.path)
        check_same(self.path, outlines(saved.parts), known)
        if saved.share != self.share:
            raise InputError(
                f"{printable(self.path)} holds share {saved.share}, now {self.share}: give it its "
                "own name again"
            )
        self.good = True
        return saved

    def save(self, sums: Sums) -> None:
        """Put these sums in the place of what was saved.

        Raises:
            SaveFailed: the disk refuses; what was saved before is still there.
        """
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_partial(self.path, sums, self.share)
            except OSError as error:
                why = error.strerror or error
                raise SaveFailed(
                    f"cannot write {printable(self.path)}: {why}; {self.left}"
                ) from error
            self.good = True

    @property
    def left(self) -> str:
        """What there is to go on from, in words."""
        if not self.good:
            return "nothing was saved yet"
        return f"{option('resume', True)} goes on from {printable(self.path)}"

    def forget(self) -> None:
        """The results are there: the file is no longer needed."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.good = False
