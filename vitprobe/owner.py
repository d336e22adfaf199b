"""Which process something belongs to, and whether that process is still there."""

from __future__ import annotations

import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

PREFIX, PART = ".vitprobe-", ".part"
WORD = re.compile(r"(\d+)\.(\d*)\.(\d*)\.([\w-]+)")


@dataclass(frozen=True)
class Owner:
    """A process, told from every other that has or had its number.

    started: in the kernel's ticks since the machine started; space: of process numbers, since a
    container has its own; "" where the system has no such thing. host: the machine's name.
    """

    pid: int
    started: str
    space: str
    host: str

    @classmethod
    def own(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(pid, _started(pid) or "", _space(), _host())

    @classmethod
    def read(cls, word: str) -> Owner | None:
        """The one that `word` was of, or None."""
        match = WORD.fullmatch(word)
        if match is None or not 0 < int(match[1][:20]) < 2**31:
            return None
        return cls(int(match[1]), *match.groups()[1:])

    @property
    def word(self) -> str:
        """`1234.567890.4026531836.name`: at most 110 characters that any file system takes."""
        return f"{self.pid}.{self.started}.{self.space}.{self.host}"

    @property
    def near(self) -> bool:
        """Whether it would be seen from here."""
        return (self.host, self.space) == (_host(), _space())

    @property
    def gone(self) -> bool:
        """Whether it has ended for certain: of one on another machine that cannot be told."""
        if not self.near:
            return False
        started = _started(self.pid)
        return started is None or (bool(started and self.started) and started != self.started)


def scratch_path(folder: Path) -> Path:
    """A new name in the folder that says whose it is: what is found later can be told apart."""
    return folder / f"{PREFIX}{secrets.token_hex(4)}.{Owner.own().word}{PART}"


def owner_of(path: Path) -> Owner | None:
    """Whose scratch file or folder it is; None for other names."""
    _, _, rest = path.name.removeprefix(PREFIX).partition(".")
    return Owner.read(rest.rpartition(".")[0]) if path.name.startswith(PREFIX) else None


def _started(pid: int) -> str | None:
    """When it was started; "" where that is not known, None where there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # another user's
        pass
    try:
        # behind the name, which may hold anything: state, ..., start time (see proc(5))
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def _space() -> str:
    try:
        return re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        return ""


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname(), flags=re.ASCII)[:64] or "_"
