"""The SASS that the assembler makes of a PTX file, and how often each instruction was issued.

Every SASS instruction names the PTX line it was made from, and the interpreter counts how often a
warp came to each PTX line. So a block of SASS (what lies between two labels or branches) was issued
as often as most of the lines in it: an instruction that was moved there from elsewhere is outvoted.
Instructions whose predicate is false are issued too, and counted.
"""

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ptx.device import Device, Module

_KERNEL = re.compile(r"\.text\.(\S+):")
_LABEL = re.compile(r"(\.L_x_\d+|\$\S+):")
_LINE = re.compile(r'//## File "\.nv_debug_ptx_txt", line (\d+)')
_CODE = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)(?:.*`\(([^)]+)\))?")
_ENDS = ("BRA", "BRX", "EXIT", "RET", "CALL", "BSYNC")


@dataclass
class Block:
    """code: opcodes with their suffixes, and PTX lines. Of no line of PTX are the assembler's
    subroutines (`subroutine` is the name of one, `calls` of those that the block ends with) and
    what runs where a warp's lanes are apart before a shuffle (`apart`): not in these kernels."""

    code: list[tuple[str, int]] = field(default_factory=list)
    subroutine: str = ""
    calls: str = ""
    apart: bool = False


def find_nvdisasm(nvcc: str) -> str | None:
    """Beside nvcc, on the PATH, or the one that triton, which torch's CUDA wheels need, brings."""
    beside = Path(nvcc).resolve().with_name("nvdisasm")
    spec = importlib.util.find_spec("triton")
    brought = Path(spec.origin).parent / "backends/nvidia/bin/nvdisasm" if spec else beside
    found = [str(path) for path in (beside, brought) if path.is_file()]
    return found[0] if found else shutil.which("nvdisasm")


def assemble(nvcc: str, nvdisasm: str, ptx: Path, architecture: str) -> dict[str, list[Block]]:
    """The blocks of every kernel in a PTX file, by its mangled name; the cubin is kept beside it.

    Raises:
        subprocess.CalledProcessError: a tool failed; what it said is in `output`.
    """
    cubin = ptx.with_suffix(f".sm_{architecture}.cubin")
    if not cubin.exists():
        made = cubin.with_suffix(".made")
        _run(nvcc, "-cubin", f"-arch=sm_{architecture}", "-lineinfo", ptx, "-o", made)
        made.rename(cubin)
    return blocks(_run(nvdisasm, "-c", "-gp", cubin))


def blocks(listing: str) -> dict[str, list[Block]]:
    """From the text that `nvdisasm -c -gp` prints."""
    found: dict[str, list[Block]] = {}
    own, line, subroutine = None, 0, ""
    apart, in_apart = set(re.findall(r"BRA\.DIV .*`\((\S+)\)", listing)), False
    for text in listing.splitlines():
        if match := _KERNEL.match(text):
            own, line, subroutine, in_apart = found.setdefault(match[1], []), 0, "", False
            own.append(Block())
        elif own is None or text.startswith("//-----"):
            own = None
        elif match := _LABEL.match(text):
            subroutine = match[1] if match[1].startswith("$") else subroutine
            in_apart = in_apart or match[1] in apart
            own.append(Block([], subroutine, "", in_apart))
        elif match := _LINE.search(text):
            line = int(match[1])
        elif match := _CODE.match(text):
            guard, opcode, target = match.groups()
            own[-1].code.append((opcode, line))
            if opcode.startswith(_ENDS):
                own[-1].calls = target if opcode.startswith("CALL") else ""
                in_apart = in_apart and not (opcode == "BRA" and guard is None)
                own.append(Block([], subroutine, "", in_apart))
    return {name: [block for block in every if block.code] for name, every in found.items()}


def warps_at(device: Device, module: Module, name: str) -> dict[int, int]:
    """PTX line -> how many warps have come to it, in all launches of the kernel so far."""
    program, entered = module.program(name), device.entered.get(name, Counter())
    return {
        instruction.line: entered[number]
        for number, block in enumerate(program.blocks)
        for instruction in [*block.instructions, *([block.end] if block.end else [])]
    }


def issued(all_blocks: list[Block], warps: dict[int, int]) -> Counter:
    """Opcode, without suffixes -> how many times a warp issued it. Of the difference of two runs'
    `warps_at`, what the second issued more. Subroutines count whole, so a little too much."""
    counts: Counter = Counter()
    called: Counter = Counter()
    for block in all_blocks:
        if block.apart or all(opcode == "NOP" for opcode, _ in block.code):  # or behind the end
            continue
        votes = Counter(warps[line] for _, line in block.code if line in warps)
        times = votes.most_common(1)[0][0] if votes else 0
        if block.subroutine:
            times = called[block.subroutine]
        else:
            called[block.calls] += times
        for opcode, _ in block.code:
            counts[opcode.split(".")[0]] += times
    return counts


def _run(*words) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=900
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout + done.stderr)
    return done.stdout
