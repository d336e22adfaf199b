"""Nothing of a run is lost: its sums go to a file now and then, and it goes on from there."""

from __future__ import annotations

from pathlib import Path

from vitprobe.errors import InputError, option
from vitprobe.passes.partial import Saved, read_partial, write_partial
from vitprobe.passes.share import Share
from vitprobe.passes.sums import Sums
from vitprobe.text import printable

EVERY = 60.0  # seconds between two saves


class Keeper:
    """Saves the sums of one run, or of a share of it.

    path: the file; None: nothing is saved. share: which batches it is to hold. every: seconds.
    resume: go on from the file, where there is one.
    """

    def __init__(
        self,
        path: Path | None = None,
        share: Share = Share(),  # noqa: B008 (frozen)
        every: float = EVERY,
        resume: bool = False,
    ):
        if not every > 0:
            raise InputError(f"{option('save_every')} takes seconds above 0, not {every:g}")
        self.path, self.share, self.every, self.resume = path, share, every, resume
        self._good = False

    def earlier(self) -> Saved | None:
        """What to go on from.

        Raises:
            InputError: it cannot be read, or holds another share of the run.
        """
        if not self.resume or self.path is None or not self.path.exists():
            return None
        saved = read_partial(self.path)
        if saved.share != self.share:
            held = f"share {saved.share.index + 1}/{saved.share.count}"
            raise InputError(
                f"{printable(self.path)} holds {held}, now "
                f"{self.share.index + 1}/{self.share.count}"
            )
        self._good = True
        return saved

    @property
    def unfinished(self) -> bool:
        """Whether the file is to be brought up to date when all is done: there is one, or it is to
        be merged."""
        return self._good or self.share != Share()

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
            self._good = True

    @property
    def left(self) -> str:
        """What there is to go on from, in words."""
        if not self._good:
            return "nothing was saved yet"
        return f"{option('resume', True)} goes on from {printable(self.path)}"

    def forget(self) -> None:
        """The results are there: the file is no longer needed."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self._good = False


class SaveFailed(InputError):
    """The sums could not be written; the run ended with the batch that it was in."""
