"""Which accesses of different lanes to the same bytes nothing parts.

Two lanes' accesses, one of them a write, must be ordered: by a barrier of the block (bar.sync) or,
within a warp, by bar.warp.sync. Lanes of different blocks are never ordered. A warp's vote or
shuffle orders a read before it and a write behind it, as no lane passes before all have come with
what they read; it does not make a write seen.
"""

from dataclasses import dataclass

import numpy as np

READ, WRITE, ATOMIC = 0, 1, 2


@dataclass
class Access:
    """Of some lanes: offsets and size in bytes, lanes of the whole grid, and when."""

    at: np.ndarray
    size: int
    lanes: np.ndarray
    kind: int
    index: int  # of the instruction
    epoch: np.ndarray  # barriers that the lane has passed
    warp_epoch: np.ndarray  # warp barriers
    meeting: np.ndarray  # votes and shuffles

    def spread(self, grain: int) -> "Access":
        """One entry for each `grain` bytes; at: in grains."""
        count = max(self.size // grain, 1)
        at = self.at // grain
        if count == 1:
            return Access(at, grain, *self._rest())
        at = (at[:, None] + np.arange(count)).ravel()
        lanes, kind, index, *epochs = self._rest()
        more = [np.repeat(array, count) for array in (lanes, *epochs)]
        return Access(at, grain, more[0], kind, index, *more[1:])

    def of(self, chosen: np.ndarray) -> "Access":
        """Those lanes only."""
        lanes, kind, index, *epochs = self._rest()
        return Access(self.at[chosen], self.size, lanes[chosen], kind, index,
                      *(epoch[chosen] for epoch in epochs))  # fmt: skip

    def _rest(self):
        return self.lanes, self.kind, self.index, self.epoch, self.warp_epoch, self.meeting


def find_race(accesses: list[Access], lanes_of_block: int):
    """The first two accesses that race: ((lane, instruction), (lane, instruction)), or None."""
    if len(accesses) < 1 or not any(access.kind for access in accesses):
        return None
    grain = min(access.size for access in accesses)
    spread = [access.spread(grain) for access in accesses]
    first = min(int(access.at.min()) for access in spread)
    for access in spread:
        access.at = access.at - first
    places = max(int(access.at.max()) for access in spread) + 1
    owner = np.empty(places, np.int64)  # read where it was written only
    suspect, written = np.zeros((2, places), bool)
    for access in spread:
        owner[access.at] = access.lanes
        if access.kind:
            written[access.at] = True
    for access in spread:
        several = owner.take(access.at) != access.lanes
        if several.any():
            suspect[access.at[several]] = True
    suspect &= written
    if not suspect.any():
        return None
    return _among([access.of(suspect.take(access.at)) for access in spread], lanes_of_block)


def _among(accesses: list[Access], lanes_of_block: int):
    accesses = [access for access in accesses if len(access.at)]
    at, lane, epoch, warp_epoch, meeting = (
        np.concatenate([getattr(access, name) for access in accesses])
        for name in ("at", "lanes", "epoch", "warp_epoch", "meeting")
    )
    counts = [len(access.at) for access in accesses]
    kind = np.repeat([access.kind for access in accesses], counts)
    index = np.repeat([access.index for access in accesses], counts)
    time = np.arange(len(at))
    warp, block = lane // 32, lane // lanes_of_block
    keys = (
        (block, (at,)),  # blocks are never ordered
        (warp, (at, block, epoch)),
        (lane, (at, warp, epoch, warp_epoch)),
    )
    for who, same in keys:
        order = np.lexsort((time, *reversed(same)))
        new = np.zeros(len(order), bool)
        for key in same:
            new[1:] |= key[order][1:] != key[order][:-1]
        new[0] = True
        starts = np.flatnonzero(new)
        several = np.minimum.reduceat(who[order], starts) != np.maximum.reduceat(who[order], starts)
        several &= np.maximum.reduceat(kind[order], starts) > 0
        if who is lane and several.any():
            several &= ~_read_before(lane[order], kind[order], meeting[order], starts)
        ends = np.append(starts[1:], len(order))
        for group in np.flatnonzero(several):
            own = order[starts[group] : ends[group]]
            found = _pair(own, who, kind, meeting if who is lane else None)
            if found:
                return tuple((int(lane[i]), int(index[i])) for i in found)
    return None


def _read_before(lane, kind, meeting, starts):
    """Of groups of accesses, whether one lane writes after a vote or shuffle behind all reads of
    the others."""
    writes, lane, meeting = kind != READ, lane.astype(np.int64), meeting.astype(np.int64)
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    first = np.minimum.reduceat(np.where(writes, lane, most), starts)
    last = np.maximum.reduceat(np.where(writes, lane, least), starts)
    group = np.zeros(len(lane), np.int64)
    group[starts[1:]] = 1
    others = ~writes & (lane != first[np.cumsum(group)])
    read = np.maximum.reduceat(np.where(others, meeting, least), starts)
    written = np.minimum.reduceat(np.where(writes, meeting, most), starts)
    return (first == last) & (read < written)


def _pair(group, who, kind, meeting):
    """Two of a group, in the order of time, that race."""
    for place, later in enumerate(group):
        before = group[:place]
        racing = (who[before] != who[later]) & ((kind[before] > 0) | (kind[later] > 0))
        if kind[later] == ATOMIC:
            racing &= kind[before] != ATOMIC
        if meeting is not None and kind[later] != READ:
            racing &= (kind[before] != READ) | (meeting[before] == meeting[later])
        if racing.any():
            return before[np.flatnonzero(racing)[0]], later
    return None
