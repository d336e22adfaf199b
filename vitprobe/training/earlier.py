"""Files of a run's name that are there already: gone on with or replaced by the same run alone."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from vitprobe.errors import InputError, option
from vitprobe.training.files import RunFiles
from vitprobe.training.parts import Parts
from vitprobe.training.settings import Settings, differing
from vitprobe.training.trainee import Trainee


@dataclass(frozen=True)
class Earlier:
    """The run that left files of this name; `state` None: there are none, or none that matter.

    resumed: whether the new run goes on with it; else it is replaced. note: a line, or "".
    """

    files: RunFiles
    resumed: bool
    state: dict[str, Any] | None = None
    note: str = ""

    def check_start(self, parts: Parts, trainee: Trainee) -> None:
        """Raise InputError where it started from other weights or had other images."""
        if self.state is None:
            return
        for what, old, new in (
            ("weights to start from", self.state["start_sha256"], trainee.start_sha256),
            ("classes", self.state["class_names"], parts.class_names),
            ("numbers of images", self.state["images"], parts.sizes),
        ):
            if old != new:
                old, new = (shorten(str(x), 100) for x in (old, new))
                raise _of_another(self.files, self.resumed, what, f"{old}, now {new}")


def find_earlier(files: RunFiles, settings: Settings, *, resume: bool, overwrite: bool) -> Earlier:
    """What is there under this name, after the settings that made it were compared.

    Raises:
        InputError: another run's files, or files of which that cannot be told; none of them is
            touched. With `overwrite` none is looked at.
    """
    paths = (files.last, files.best, files.weights, files.table)
    held = [*(path for path in paths if path.exists()), *files.kept()]
    if not held:
        return Earlier(files, resume)
    replaced = f"{held[0]} of an earlier run is replaced"
    if overwrite:
        return Earlier(files, False, note=replaced)
    state, note = files.read_last("remove it to start afresh" if resume else _way_out(False))
    if state is None:
        raise InputError(
            f"{held[0]} is there, and nothing tells which run made it: {_way_out(False)}"
        )
    different = differing(state["settings"], settings)
    if different:
        raise _of_another(files, resume, "settings", different)
    if not resume:
        files.forget()
        note = f"{replaced}; {option('resume', True)} would go on with it"
    return Earlier(files, resume, state, note)


def _way_out(resume: bool) -> str:
    """Where another run has the name: for one that is to go on with it, and one that starts."""
    another = f"another {option('model_name')} or {option('output')}"
    if resume:
        return f"give the same ones to {option('resume', True)}, or {another}"
    return f"give {another}, or {option('overwrite', True)}"


def _of_another(files: RunFiles, resume: bool, what: str, how: str) -> InputError:
    path = files.last if files.last.exists() else files.best
    return InputError(f"{path} was made with other {what} ({how}): {_way_out(resume)}")
