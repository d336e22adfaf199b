"""cp.async: copies from global to shared memory that arrive when their thread waits for them."""

import numpy as np

from ptx import races
from ptx.memory import ON_ITS_WAY, WRITTEN


class Copies:
    """Those of one wave. A lane's groups are numbered; the open one has the number `group`."""

    def __init__(self, wave):
        self.wave = wave
        self.group = np.zeros(wave.lanes, np.int64)
        self.waiting: list[list] = []  # [lanes, groups, to, from, bytes, size, instruction]

    def start(self, to, source, size, count, act, index):
        """`count` bytes of `size` are read, the rest become zeros."""
        if act is not None and len(act) == 0:
            return
        wave = self.wave
        shared, place = wave.memory["shared"], wave.memory["global"]
        lanes = wave.lane if act is None else wave.lane.take(act)
        [(_, _, into)] = wave.places("shared", to, size, act, index)
        count = wave.chosen(count, act).astype(np.int64)
        if (count > size).any():
            wave.fault(index, lanes[count > size][0], f"copies more than {size} bytes")
        if (shared.state_of(into, size) == ON_ITS_WAY).any():
            wave.refuse(shared, into, size, True, act, index)
        at = wave.chosen(source, act).astype(np.int64) - wave.device.base
        if (at & (size - 1)).any():
            wrong = np.flatnonzero(at & (size - 1))[0]
            wave.fault(index, lanes[wrong], f"global memory: address not aligned to {size} bytes")
        missing = place.state_of(at, size) & 0x0F != 0x0F
        missing &= np.arange(size) < count[:, None]
        if missing.any():
            row = int(np.argwhere(missing)[0][0])
            wave.refuse(place, at[row : row + 1], int(count[row]), False, lanes[row : row + 1],
                        index)  # fmt: skip
        # What another lane reads or writes there before this thread's next barrier, races.
        wave.note("shared", into, size, act, races.WRITE, index)
        read = count > 0
        own = lanes[read]
        wave.note("global", at[read], 1, own, races.READ, index)
        shared.state[into[:, None] + np.arange(size)] = ON_ITS_WAY
        shared.copies = True
        groups = self.group.take(lanes)
        self.waiting.append([lanes, groups, into, at, count, size, index])

    def commit(self, mask):
        self.group = self.group + (1 if mask is None else mask)

    def wait(self, newest: int, mask, also_open: bool = False):
        """Brings all of a lane's groups but the newest ones."""
        kept = []
        for lanes, groups, to, source, count, size, index in self.waiting:
            done = groups < self.group.take(lanes) - newest + also_open
            if mask is not None:
                done &= mask[lanes]
            parts = (lanes, groups, to, source, count)
            self._bring(*(part[done] for part in (lanes, to, source, count)), size, index)
            if not done.all():
                kept.append([*(part[~done] for part in parts), size, index])
        self.waiting = kept

    def _bring(self, lanes, to, source, count, size, index):
        if len(lanes) == 0:
            return
        wave = self.wave
        shared, place = wave.memory["shared"], wave.memory["global"]
        steps = np.arange(size)
        inside = steps < count[:, None]
        values = place.data.take(np.where(inside, source[:, None] + steps, 0))
        into = to[:, None] + steps
        shared.data[into] = np.where(inside, values, np.uint8(0))
        shared.state[into] = WRITTEN
        wave.note("shared", to, size, lanes, races.WRITE, index)
