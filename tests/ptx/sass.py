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
from pathlib import Path

from ptx.device import Device, Module

Block = list[tuple[str, int]]  # opcode with its suffixes, PTX line

_KERNEL = re.compile(r"\.text\.(\S+):")
_LABEL = re.compile(r"\.L_x_\d+:")
_LINE = re.compile(r'//## File "\.nv_debug_ptx_txt", line (\d+)')
_CODE = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")
_ENDS = ("BRA", "BRX", "EXIT", "RET", "CALL", "BSYNC")


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
    own, line = None, 0
    for text in listing.splitlines():
        if match := _KERNEL.match(text):
            own, line = found.setdefault(match[1], [[]]), 0
        elif own is None or text.startswith("//-----"):
            own = None
        elif _LABEL.match(text):
            own.append([])
        elif match := _LINE.search(text):
            line = int(match[1])
        elif match := _CODE.match(text):
            own[-1].append((match[1], line))
            if match[1].startswith(_ENDS):
                own.append([])
    return {name: [block for block in all_blocks if block] for name, all_blocks in found.items()}


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
    `warps_at`, what the second issued more."""
    counts: Counter = Counter()
    for block in all_blocks:
        votes = Counter(warps[line] for _, line in block if line in warps)
        times = votes.most_common(1)[0][0] if votes else 0
        for opcode, _ in block:
            counts[opcode.split(".")[0]] += times
    return counts


def _run(*words) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=900
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout + done.stderr)
    return done.stdout
