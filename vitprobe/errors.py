"""What a user did that cannot work, said in one line with what to do instead."""

import difflib
import shlex
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from vitprobe.text import LINE, printable


class InputError(ValueError):
    """Wrong input: the message is one line that says what is wrong and what to do.

    The command line prints the message and exits with code 2; nothing has been written by then.
    Names from files may stand in it as they are: control characters are escaped here.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable(message, LINE))


class SaveFailed(InputError):
    """What a run has so far could not be written; it ended with the batch that it was in.

    The command line exits with code 1.
    """


class VitprobeWarning(UserWarning):
    """Something a reader of the result should know; also kept in the result's `notes`.

    One line, in which control characters are escaped.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable(message, LINE))


def say(notes: list[str], text: str) -> None:
    """Warn, and keep the same sentence for the result's `notes`."""
    notes.append(printable(text, None))
    warnings.warn(text, VitprobeWarning, stacklevel=3)


@contextmanager
def unheard() -> Iterator[None]:
    """In here nothing is warned of: another process of the same run says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VitprobeWarning)
        yield


class Stopped(BaseException):
    """A command was asked to end: by Ctrl-C, SIGTERM or SIGHUP.

    number: the signal's. left: what is kept of the work, for the line that is said.
    """

    WORDS: ClassVar[Mapping[int, str]] = {
        signal.SIGINT: "interrupted",
        signal.SIGTERM: "terminated",
        signal.SIGHUP: "hung up",
    }

    def __init__(self, number: int, left: str = ""):
        super().__init__(number)
        self.number, self.left = number, left

    @property
    def word(self) -> str:
        """`interrupted`, `terminated`, `hung up`."""
        return self.WORDS[self.number]


def stop_behind(error: BaseException | None) -> Stopped | None:
    """The stop that an error came of, where something failed because it was being stopped."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__cause__ or error.__context__
    return error


_typed = False  # whether the caller typed a command: of the process, its threads decode images


@contextmanager
def typed_options() -> Iterator[None]:
    """In here `option` speaks to one who typed a command."""
    global _typed
    before, _typed = _typed, True
    try:
        yield
    finally:
        _typed = before


def option(name: str, value: object = None) -> str:
    """An option in the caller's language: `--image-size 32` of a command, `image_size=32` of a
    function; without a value `--image-size`, `image_size`."""
    if _typed:
        words = f"--{name.replace('_', '-')}"
        return words if value is None or value is True else f"{words} {shlex.quote(str(value))}"
    shown = repr(value) if isinstance(value, str) and not value.isupper() else value
    return name if value is None else f"{name}={shown}"


def did_you_mean(name: str, options: Iterable[str], limit: int = 3) -> str:
    """`"; did you mean 'resnet18' or 'resnet20'?"`, or `""` where no option is near."""
    near = difflib.get_close_matches(name, list(dict.fromkeys(options)), n=limit, cutoff=0.5)
    if not near:
        return ""
    return "; did you mean " + " or ".join(repr(option) for option in near) + "?"


def brief(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
