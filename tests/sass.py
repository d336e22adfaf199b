"""How many instructions the GPU issues for the CUDA kernels, counted without a GPU.

python tests/sass.py            counts, and prints the table beside the committed one
python tests/sass.py --write    commits what it counted: tests/sass.json

The kernels run in the PTX interpreter on small inputs; ptx/sass.py tells how often each
instruction of the SASS was issued. Two inputs that differ in the number of stages (or keys) give
what one more costs, without what is done once. A multiprocessor issues four instructions a clock,
so that the counts bound what any run can reach: the ceilings, at 1.98 GHz on 132 multiprocessors
(H100 and H200 SXM), nothing ever waiting. No run is as fast.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from nvcc import find_nvcc  # noqa: E402
from ptx import sass  # noqa: E402
from ptx.build import Built, build  # noqa: E402
from ptx.device import demangled  # noqa: E402
from ptx.interpreted import Interpreted  # noqa: E402

COMMITTED = Path(__file__).with_suffix(".json")
ARCHITECTURE = "90a"
SLOTS = 132 * 4 * 1.98e9  # instructions a second, of warps
WARPS = 8  # of a block
STAGE_BYTES = 128  # of a row


class Counted:
    """Runs operators with a GPU of `num_sms` and counts what the SASS of their kernels issues."""

    def __init__(self, built: Built, nvcc: str, nvdisasm: str):
        self.built = built
        self.blocks = {}
        for ptx in built.ptx.values():
            self.blocks |= sass.assemble(nvcc, nvdisasm, ptx, ARCHITECTURE)

    def run(self, operator: str, arrays, *arguments, num_sms: int = 1) -> dict[str, dict[int, int]]:
        """arrays: (array, type) or a list of them. Returns kernel -> PTX line -> warps."""
        gpu = Interpreted(self.built, num_sms)
        tensors = [
            [gpu.tensor(*one) for one in some] if isinstance(some, list) else gpu.tensor(*some)
            for some in arrays
        ]
        gpu.call(operator, *tensors, *arguments)
        modules = {name: module for module in gpu.modules for name in module.entries}
        return {
            name: sass.warps_at(gpu.device, modules[name], name)
            for name in dict.fromkeys(name for name, _ in gpu.device.launches)
        }

    def issued(self, kernels: str, more: dict, less: dict | None = None) -> Counter:
        """What `more` issued beyond `less`, in kernels whose names start with one of the words."""
        counts: Counter = Counter()
        for name, warps in more.items():
            if demangled(name).startswith(tuple(kernels.split())):
                before = (less or {}).get(name, {})
                own = {line: count - before.get(line, 0) for line, count in warps.items()}
                counts += sass.issued(self.blocks[name], own)
        return counts


def activations(n: int, p: int, kind: str, ratio: float = 0.0) -> tuple[np.ndarray, str]:
    """(n, p) normal numbers of mean `ratio`, as the interpreter takes them, and their type."""
    x = np.random.default_rng(0).standard_normal((n, p)).astype(np.float32) + np.float32(ratio)
    if kind == "bf16":
        return (x.view(np.uint32) >> 16).astype(np.uint16), kind
    return (x.astype(np.float16).view(np.uint16), kind) if kind == "f16" else (x, kind)


def stage(counted: Counted, n: int, kind: str, tf32: bool = False, ratio: float = 0.0) -> Counter:
    """Of one warp of the fast Gram kernel: 128 bytes of every row, rows aligned to 16 bytes."""
    columns = STAGE_BYTES // (4 if kind == "f32" else 2)
    runs = [
        counted.run(
            "centered_gram_fast", [activations(n, columns * count, kind, ratio)], False, tf32
        )
        for count in (12, 20)
    ]
    counts = counted.issued("GramSplit", runs[1], runs[0])
    return Counter({opcode: count / WARPS / 8 for opcode, count in counts.items()})


def fold_and_center(counted: Counted) -> Counter:
    """Of 200 sites, n = 256, three splits each: what follows the product."""
    sites = 4
    xs = [activations(256, 64 * 12, "bf16") for _ in range(sites)]
    run = counted.run("centered_grams_fast", [xs], False, False, num_sms=6)
    counts = counted.issued("GroupFold Center", run)
    return Counter({opcode: count * 200 / sites for opcode, count in counts.items()})


def score(counted: Counted, depth: int, kind: str = "bf16") -> Counter:
    """Of a lane, for one query and one key, in the fast attention kernel."""
    rng, heads = np.random.default_rng(0), 2  # enough blocks for one multiprocessor

    def run(tokens: int):
        q, k = (
            (rng.standard_normal((1, heads, tokens, depth), np.float32).view(np.uint32) >> 16)
            .astype(np.uint16)
            for _ in range(2)
        )  # fmt: skip
        grid = (16, tokens // 16)
        return counted.run(
            "attention_statistics_fast", [(q, kind), (k, kind)], depth**-0.5, *grid, 0, None, 16.0,
            16.0, False,
        )  # fmt: skip

    # A block has 256 queries: two blocks of 512 keys, less twice one of 256.
    once, twice = run(256), run(512)
    for lines in once.values():
        for line in lines:
            lines[line] *= 2
    counts = counted.issued("AttentionBlock FastAttention Attention", twice, once)
    scores = heads * (512**2 - 2 * 256**2)
    return Counter({opcode: count * 32 / scores for opcode, count in counts.items()})


def stage_ceiling(n: int) -> Callable[[float], str]:
    """From instructions a stage: two blocks of up to 128 rows are on a multiprocessor, or one."""
    rows, blocks = (256, 1) if n > 128 else (128 if n > 64 else 64, 2)
    return lambda count: (
        f"{rows * blocks * STAGE_BYTES / (count * WARPS * blocks) * SLOTS / 1e12:.1f} TB/s"
    )


@dataclass(frozen=True)
class Row:
    """counts: opcode -> number; ceiling: what `number` allows, as text."""

    name: str
    unit: str
    counts: Callable[[Counted], Counter]
    ceiling: Callable[[float], str]


ROWS = [
    *(
        Row(f"Gram {label}, n = {n}", "a stage of a warp",
            lambda counted, a=(n, kind, tf32, ratio): stage(counted, *a), stage_ceiling(n))
        for label, n, kind, tf32, ratio in [
            ("bf16", 256, "bf16", False, 0.0),
            ("bf16", 128, "bf16", False, 0.0),
            ("bf16", 64, "bf16", False, 0.0),
            ("bf16 shifted", 256, "bf16", False, 10.0),
            ("f16", 128, "f16", False, 0.0),
            ("TF32", 256, "f32", True, 0.0),
            ("3xTF32", 128, "f32", False, 0.0),
        ]
    ),
    Row("fold and centre, 200 sites, n = 256", "in all", fold_and_center,
        lambda count: f"{count / SLOTS * 1e6:.0f} us"),
    Row("attention bf16, D = 64", "a score of a lane", lambda counted: score(counted, 64),
        lambda count: f"{SLOTS * 32 / count / 1e12:.1f} T scores/s"),
]  # fmt: skip


def count_all(counted: Counted) -> dict[str, float]:
    """Row -> instructions."""
    return {row.name: round(sum(row.counts(counted).values()), 1) for row in ROWS}


def table(found: dict[str, float], committed: dict[str, float]) -> str:
    lines = ["| kernel | instructions | committed | ceiling |", "|---|---|---|---|"]
    for row in ROWS:
        number, before = found[row.name], committed.get(row.name)
        lines.append(
            f"| {row.name} | {number:,.1f} {row.unit} | "
            f"{'-' if before is None else f'{before:,.1f}'} | {row.ceiling(number)} |"
        )
    return "\n".join(lines)


def release(nvcc: str) -> str:
    """Of the compiler, on whose choices the counts depend: its last line but one holds it."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    return said.split("release ")[1].split(",")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {COMMITTED.name}")
    parser.add_argument("--opcodes", action="store_true", help="each row's most frequent opcodes")
    parser.add_argument("--cache", type=Path, help="folder that keeps what was compiled")
    asked = parser.parse_args()
    nvcc = find_nvcc()
    nvdisasm = nvcc and sass.find_nvdisasm(nvcc)
    if not nvdisasm:
        sys.exit("nvcc and nvdisasm are needed (PyPI: cuda-toolkit[nvcc,cccl], triton)")
    with tempfile.TemporaryDirectory() as folder:
        counted = Counted(build(nvcc, asked.cache or Path(folder)), nvcc, nvdisasm)
        if asked.opcodes:
            for row in ROWS:
                counts = row.counts(counted)
                most = ", ".join(f"{o} {c:.1f}" for o, c in counts.most_common(12))
                print(f"{row.name}: {sum(counts.values()):,.1f}: {most}")
            return
        found = count_all(counted)
    before = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {"instructions": {}}
    print(table(found, before["instructions"]))
    if asked.write:
        text = json.dumps({"nvcc": release(nvcc), "instructions": found}, indent=2)
        COMMITTED.write_text(text + "\n")


if __name__ == "__main__":
    main()
