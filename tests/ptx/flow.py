"""Basic blocks of a kernel: where each goes, where lanes that part meet again, which registers
never leave a block."""

import re
from dataclasses import dataclass, field

from ptx.text import Instruction, Kernel

_REGISTER = re.compile(r"[%\w$']+")
_ENDS = ("bra", "brx", "ret", "exit", "trap")
NO_RESULT = ("st", "red", "bar", "barrier", "membar", "fence", "cp", "bra", "brx", "ret", "exit",
             "trap", "prefetch", "nanosleep")  # fmt: skip


@dataclass
class Block:
    """instructions: without the branch at its end. `targets` in the order of the branch's operands,
    then the block that follows, if lanes can get there; `meet`: the immediate post-dominator."""

    instructions: list[Instruction]
    end: Instruction | None
    targets: list[int] = field(default_factory=list)
    meet: int = -1
    own: set[str] = field(default_factory=set)


def blocks(kernel: Kernel) -> list[Block]:
    """The kernel's blocks; block number len(blocks) is its end."""
    code = kernel.instructions
    starts = {0, len(code), *kernel.labels.values()}
    starts |= {i + 1 for i, instruction in enumerate(code) if instruction.op[0] in _ENDS}
    starts = sorted(starts)
    number = {start: i for i, start in enumerate(starts)}
    out = []
    for first, last in zip(starts, starts[1:], strict=False):
        inside = code[first:last]
        end = inside.pop() if inside[-1].op[0] in _ENDS else None
        block = Block(inside, end)
        if end is None or end.guard or end.op[0] in ("bra", "brx"):
            labels = [] if end is None else _labels(kernel, end)
            block.targets = [number[kernel.labels[label]] for label in labels]
        if end is not None and end.op[0] in ("ret", "exit", "trap"):
            block.targets.append(len(starts) - 1)
        if end is None or end.guard:
            block.targets.append(number[last])
        out.append(block)
    _find_meets(out)
    _find_own(kernel, out)
    return out


def _labels(kernel: Kernel, end: Instruction) -> list[str]:
    if end.op[0] == "bra":
        return end.operands
    return kernel.targets[end.operands[1]] if end.op[0] == "brx" else []


def _find_meets(all_blocks: list[Block]) -> None:
    """Immediate post-dominators: Cooper, Harvey and Kennedy's iteration on the reversed graph."""
    last = len(all_blocks)
    before: list[list[int]] = [[] for _ in range(last + 1)]
    for i, block in enumerate(all_blocks):
        for target in block.targets:
            before[target].append(i)
    order, seen, stack = [], {last}, [(last, iter(before[last]))]
    while stack:  # postorder of the reversed graph
        node, rest = stack[-1]
        found = next((n for n in rest if n not in seen), None)
        if found is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(found)
            stack.append((found, iter(before[found])))
    rank = {node: i for i, node in enumerate(order)}
    meet = {last: last}
    changed = True
    while changed:
        changed = False
        for node in reversed(order[:-1]):
            new = None
            for target in all_blocks[node].targets:
                if target not in meet:
                    continue
                new = target if new is None else _common(meet, rank, new, target)
            if meet.get(node) != new:
                meet[node], changed = new, True
    for i, block in enumerate(all_blocks):
        block.meet = meet.get(i, last)


def _common(meet, rank, one, other):
    while one != other:
        while rank[one] < rank[other]:
            one = meet[one]
        while rank[other] < rank[one]:
            other = meet[other]
    return one


def registers_of(kernel: Kernel, instruction: Instruction) -> tuple[list[str], list[str]]:
    """Registers that it writes and those that it reads."""
    found = [
        [word for word in _REGISTER.findall(operand) if word in kernel.registers]
        for operand in instruction.operands
    ]
    reads = [instruction.guard[0]] if instruction.guard else []
    written = []
    if instruction.op[0] not in NO_RESULT and found:
        written, found = found[0], found[1:]
    return written, reads + [word for words in found for word in words]


def _find_own(kernel: Kernel, all_blocks: list[Block]) -> None:
    """A register is a block's own if all its uses lie there behind an unconditional write."""
    home: dict[str, int] = {}
    shared: set[str] = set()
    for i, block in enumerate(all_blocks):
        for instruction in [*block.instructions, *([block.end] if block.end else [])]:
            written, read = registers_of(kernel, instruction)
            for name in read:
                if home.get(name) != i:
                    shared.add(name)
            for name in written:
                if instruction.guard or home.setdefault(name, i) != i:
                    shared.add(name)
    for name, i in home.items():
        if name not in shared:
            all_blocks[i].own.add(name)
