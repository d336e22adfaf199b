"""A terminal for tests: bash, in which `vitprobe` is the command of this very process."""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vitprobe.cli import main

CLIENT = """#!{python} -SI
import json, os, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
with link.makefile("rw") as pipe:
    print(json.dumps([sys.argv[1:], os.getcwd()]), file=pipe, flush=True)
    out, err, code = json.loads(pipe.readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


def run_here(words: list[str]) -> tuple[str, str, int]:
    """`vitprobe WORDS` in this process and folder: what it printed, and its exit code."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, sys.argv = sys.argv, ["vitprobe", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return out.getvalue(), err.getvalue(), code


class Once:
    """`run_here`, where a command that does the same in any folder runs in the first alone: to the
    others go copies of what it wrote."""

    def __init__(self, folder: Path):
        self._folder, self._done = folder, {}

    def __call__(self, words: list[str]) -> tuple[str, str, int]:
        if re.search(r"[/*]|\.\w|--resume", " ".join(words)):  # looks at files
            return run_here(words)
        key = tuple(words)
        if key not in self._done:
            before = _files()
            answer = run_here(words)
            kept = self._folder / str(len(self._done))
            for path, _ in _files().items() - before.items():
                (kept / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, kept / path)
            self._done[key] = answer, kept
        answer, kept = self._done[key]
        if kept.is_dir():
            shutil.copytree(kept, ".", dirs_exist_ok=True)
        return answer


def _files() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}


class Terminal:
    """run: of the words after `vitprobe`, in their folder, (stdout, stderr, exit code)."""

    def __init__(self, run=run_here):
        self._run = run
        self._place = tempfile.TemporaryDirectory(prefix="vp")  # short: an address has 107 letters
        address = f"{self._place.name}/s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen()
        self._listener.settimeout(0.02)
        client = Path(self._place.name, "vitprobe")
        client.write_text(CLIENT.format(python=sys.executable, address=address))
        client.chmod(0o755)

    def __call__(self, script: str, timeout: float = 300.0) -> str:
        """What the script printed on both streams; a line of it that fails ends it, and is told."""
        path = os.pathsep.join([self._place.name, str(Path(sys.executable).parent), os.defpath])
        with tempfile.TemporaryFile("w+") as said:
            words = ["bash", "-eu", "-o", "pipefail", "-c", script]
            env = os.environ | {"PATH": path}
            bash = subprocess.Popen(words, stdout=said, stderr=said, env=env)
            try:
                end = time.monotonic() + timeout
                while bash.poll() is None and time.monotonic() < end:
                    with contextlib.suppress(TimeoutError):
                        self._answer(self._listener.accept()[0])
            finally:
                bash.kill()
            code = bash.wait()
            said.seek(0)
            text = said.read()
        assert not code, f"exit code {code} of\n{script}\n{text}"
        return text

    def _answer(self, link: socket.socket) -> None:
        with link, link.makefile("rw") as pipe:
            words, folder = json.loads(pipe.readline())
            here = os.getcwd()
            os.chdir(folder)
            answer = self._run(words)
            os.chdir(here)
            print(json.dumps(answer), file=pipe, flush=True)

    def close(self) -> None:
        self._listener.close()
        self._place.cleanup()
