"""Bytes and, for each, what may be done with it; loads and stores of many lanes at once.

state of a byte   low half: 0xf written, 0x1 a copy (cp.async) is on its way, 0 nothing yet
                  high half: 0xf may be written, 0 may not
"""

import numpy as np

UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
NOWHERE, READ_ONLY, EMPTY, ON_ITS_WAY, WRITTEN = 0x00, 0x0F, 0xF0, 0xF1, 0xFF
_VALID = {size: kind(0x0F0F0F0F0F0F0F0F >> (64 - 8 * size)) for size, kind in UNSIGNED.items()}
_OPEN = {size: kind(valid) << kind(4) for (size, kind), valid in
         zip(UNSIGNED.items(), _VALID.values(), strict=True)}  # fmt: skip
_LOG2 = {1: 0, 2: 1, 4: 2, 8: 3}


class Memory:
    """`size` bytes. Offsets are int64 arrays, multiples of the access's size (1, 2, 4 or 8)."""

    def __init__(self, size: int, state: int = NOWHERE):
        whole = -(-max(size, 1) // 16) * 16
        self.size = size
        self.data = np.full(whole, 0xFF, np.uint8)  # read all the same: NaN in every float type
        self.state = np.full(whole, state, np.uint8)
        if size < whole:
            self.state[size:] = NOWHERE
        self._data = {n: self.data.view(kind) for n, kind in UNSIGNED.items()}
        self._state = {n: self.state.view(kind) for n, kind in UNSIGNED.items()}
        self.copies = False  # whether any may be on its way

    def load(self, at: np.ndarray, size: int) -> tuple[np.ndarray, bool]:
        """The numbers, and whether all of them were written."""
        index = at >> _LOG2[size] if size > 1 else at
        state = np.bitwise_and.reduce(self._state[size].take(index))
        return self._data[size].take(index), state & _VALID[size] == _VALID[size]

    def store(self, at: np.ndarray, size: int, values: np.ndarray) -> bool:
        """Whether it was allowed; else nothing is stored."""
        index = at >> _LOG2[size] if size > 1 else at
        states = self._state[size]
        state = states.take(index)
        if np.bitwise_and.reduce(state) & _OPEN[size] != _OPEN[size]:
            return False
        if self.copies and (self.state_of(at, size) == ON_ITS_WAY).any():
            return False
        self._data[size][index] = values
        states[index] = kind_ones(size)
        return True

    def may_write(self, at: np.ndarray) -> np.ndarray:
        """Of each offset, whether its byte may be written."""
        return self.state.take(at) & np.uint8(0xF0) != 0

    def state_of(self, at: np.ndarray, size: int) -> np.ndarray:
        """(len(at), size) states of all bytes of an access; NOWHERE outside."""
        places = at[:, None] + np.arange(size)
        inside = (places >= 0) & (places < self.size)
        return np.where(inside, self.state.take(places, mode="clip"), np.uint8(NOWHERE))

    def why_not(self, at: np.ndarray, size: int, write: bool, poison=False):
        """(the first of the accesses that is not allowed, why), or None. With `poison` what nothing
        wrote may be read."""
        states = self.state_of(at, size)
        unread = (states & 0x0F != 0x0F) & ((states != EMPTY) | (not poison))
        bad = (states & 0xF0 != 0xF0) | (states == ON_ITS_WAY) if write else unread
        if not bad.any():
            return None
        row, byte = np.argwhere(bad)[0]
        return int(row), {
            NOWHERE: "out of bounds",
            READ_ONLY: "writes to an input",
            EMPTY: "reads what nothing wrote",
            ON_ITS_WAY: "meets a copy that no wait has brought yet",
        }[int(states[row, byte])]


def kind_ones(size: int):
    """All bits set, of an unsigned number of this size."""
    return UNSIGNED[size](2 ** (8 * size) - 1)
