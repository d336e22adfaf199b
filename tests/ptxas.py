"""What ptxas reports of the CUDA kernels: registers, stack frames, spills.

python tests/ptxas.py [FILE.cu ...]     a table of all kernels, in Markdown
"""

import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "csrc").rglob("*.cu"))
TABLE = "Registers of a thread, as ptxas reports them"  # what the tests print at their end
ARCHITECTURES = ("80", "90a", "100", "120")

_ENTRY = re.compile(r"Compiling entry function '(?P<name>\S+)' for 'sm_(?P<arch>\w+)'")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


class Usage(NamedTuple):
    """Of one kernel on one architecture; bytes of a thread, shared memory of a block (static)."""

    frame: int
    spill_stores: int
    spill_loads: int
    registers: int
    shared: int


def compile_alone(
    nvcc: str, file: Path, architectures=ARCHITECTURES, *options: str
) -> dict[tuple[str, str], Usage]:
    """Compile one file, without torch's headers: (kernel, architecture) -> Usage.

    Raises:
        ValueError: it does not compile; the message holds what the compiler said.
    """
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in architectures]
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-c", "-Xptxas", "-v", *targets, *options, f"-I{ROOT / 'csrc'}"]
        command += [str(file), "-o", str(Path(folder, "out.o"))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    log = done.stdout + done.stderr
    if done.returncode != 0:
        raise ValueError(f"{file} does not compile:\n{log}")
    return usages(log)


def usages(log: str) -> dict[tuple[str, str], Usage]:
    """From the text that ptxas prints with -v."""
    found, entry, frame = {}, None, None
    for line in log.splitlines():
        if match := _ENTRY.search(line):
            entry, frame = (match["name"], match["arch"]), None
        elif match := _FRAME.search(line):
            frame = [int(number) for number in match.groups()]
        elif (match := _USED.search(line)) and entry and frame:
            shared = _SHARED.search(line)
            found[entry] = Usage(*frame, int(match[1]), int(shared[1]) if shared else 0)
            entry = None
    return found


def table(found: dict[tuple[str, str], Usage]) -> str:
    """A line for each kernel: registers of a thread on each architecture, shared memory."""
    archs = list(dict.fromkeys(arch for _, arch in found))
    archs.sort(key=ARCHITECTURES.index)
    lines = [f"| kernel | {' | '.join(f'sm_{a}' for a in archs)} | static shared memory, bytes |"]
    lines.append("|---" * (len(archs) + 2) + "|")
    names = dict.fromkeys(name for name, _ in found)
    for name, short in sorted(zip(names, short_names(names), strict=True), key=lambda n: n[1]):
        of = [found.get((name, arch)) for arch in archs]
        cells = ["-" if usage is None else str(usage.registers) for usage in of]
        shared = max(usage.shared for usage in of if usage)
        lines.append(f"| `{short}` | {' | '.join(cells)} | {shared:,} |")
    return "\n".join(lines)


def short_names(mangled) -> list[str]:
    """The bodies' names with their template arguments."""
    names = list(mangled)
    if shutil.which("c++filt"):
        done = subprocess.run(["c++filt", *names], capture_output=True, text=True, check=True)
        names = done.stdout.splitlines()
    return [_short(name) for name in names]


def _short(name: str) -> str:
    name = name.replace("vitprobe::", "").replace("kernels::", "").replace("void ", "")
    if match := re.match(r"run_(?:body|warps)<(.*)>\(", name):
        name = match[1]
    name = re.sub(r"GramTiles<(\d+), (true|false|\(bool\)[01])>", _tiles, name)
    return name.replace(" >", ">").replace("Math", "").strip()


def _tiles(match: re.Match) -> str:
    return match[1] + (" corner" if match[2] in ("true", "(bool)1") else "")


def main() -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        raise SystemExit("no nvcc on the PATH")
    files = [Path(name) for name in sys.argv[1:]] or FILES
    found = {}
    with ThreadPoolExecutor(2) as pool:
        for usage in pool.map(lambda file: compile_alone(nvcc, file), files):
            found |= usage
    print(table(found))


if __name__ == "__main__":
    main()
