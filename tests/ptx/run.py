"""Runs one launch: waves of blocks in lock step, lanes that part and meet again.

Where lanes take different ways, each way is run by itself up to the branch's immediate
post-dominator, where they meet: a stack of (block, where to stop, mask), as on the GPU.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ptx.fault import Fault
from ptx.translate import Program
from ptx.wave import Wave

WAVE = 8192  # lanes of a wave: small arrays stay in the cache, large ones share Python's cost


@dataclass(frozen=True)
class Launch:
    """grid, block: (x, y, z); shared_bytes: static and dynamic; parameters: as in memory."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    parameters: bytes

    @property
    def threads(self) -> int:
        return int(np.prod(self.block))

    @property
    def blocks(self) -> int:
        return int(np.prod(self.grid))


def run(program: Program, device, launch: Launch, entered: Counter) -> None:
    """All blocks of a launch; changes the device's memory.

    entered: how many warps came to each block of the program, added to.
    """
    if launch.threads % 32 or launch.threads > program.kernel.most_threads:
        raise Fault(f"{program.kernel.name}: {launch.threads} threads in a block")
    at_once = max(1, WAVE // launch.threads)
    with np.errstate(all="ignore"):
        for first in range(0, launch.blocks, at_once):
            blocks = min(at_once, launch.blocks - first)
            wave = Wave(program.kernel, device, launch, first, blocks)
            _run_wave(program, wave, entered)


def _run_wave(program: Program, wave: Wave, entered: Counter) -> None:
    registers = [np.zeros(1, kind) for kind in program.kinds]
    last = len(program.blocks)
    stack = [(0, last, None)]
    while stack:
        number, stop, mask = stack.pop()
        while number not in (stop, last):
            block = program.blocks[number]
            act = None if mask is None else np.flatnonzero(mask)
            entered[number] += wave.lanes // 32 if act is None else len(np.unique(act // 32))
            chosen = program.function(number, mask is not None)(wave, registers, mask, act)
            ways = _ways(block, chosen, mask, wave)
            if len(ways) == 1:
                number = ways[0][0]
                continue
            if block.meet not in (stop, last):
                stack.append((block.meet, stop, mask))
            # The way that ends first: what waits for its lanes later finds them gone.
            ways.sort(key=lambda way: way[0] != last)
            for target, own in reversed(ways[1:]):
                if target != block.meet or target == last:
                    stack.append((target, block.meet, own))
            number, mask = ways[0]
            stop = block.meet
        if number == last:
            wave.end(mask)
    wave.find_races(None)


def _ways(block, chosen, mask, wave):
    """[(target, mask)] of the ways that some lanes take."""
    targets = block.targets
    if chosen is None or len(targets) == 1:
        return [(targets[0], mask)]
    if chosen.dtype == bool:  # taken, or on to the next block
        options = [(targets[0], chosen), (targets[1], ~chosen)]
    else:
        options = [(target, chosen == i) for i, target in enumerate(targets)]
    if len(chosen) == 1:
        return [(target, mask) for target, takes in options if takes[0]]
    ways = []
    for target, takes in options:
        own = takes if mask is None else takes & mask
        count = np.count_nonzero(own)
        if count:
            whole = count == (wave.lanes if mask is None else np.count_nonzero(mask))
            if whole:
                return [(target, mask)]
            ways.append((target, own))
    return ways
