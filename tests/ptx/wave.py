"""Some blocks of one launch, run in lock step: every register is one array over all their lanes.

mask is None where all lanes are active, else a bool array (lanes,); `act` their indices, or None.
Addresses are unsigned; generic ones tell their space by the top bits (WINDOWS).
"""

import numpy as np

from ptx import races
from ptx.copies import Copies
from ptx.fault import Fault
from ptx.memory import EMPTY, UNSIGNED, WRITTEN, Memory

WINDOWS = {"shared": 1 << 60, "local": 2 << 60, "param": 3 << 60, "global": 0}
_BY_WINDOW = {window >> 60: space for space, window in WINDOWS.items()}


class Wave:
    def __init__(self, kernel, device, launch, first_block: int, blocks: int):
        self.kernel, self.device = kernel, device
        self.threads = threads = launch.threads
        self.lanes = lanes = blocks * threads
        self.first_lane = first_block * threads
        lane = np.arange(lanes, dtype=np.int64)
        self.thread = lane % threads
        self.block = first_block + lane // threads
        self.lane = lane.astype(np.int32)
        self.lane_in_warp = (self.thread % 32).astype(np.uint32)
        self.grid, self.block_size = launch.grid, launch.block
        # A gap behind each block's memory, so that each byte outside belongs to no block.
        self.shared_bytes = launch.shared_bytes
        step = -(-self.shared_bytes // 128) * 128
        self.shared_base = lane // threads * step
        self.local_bytes = max((v.offset + v.size for v in kernel.local.values()), default=0)
        self.local_base = lane * (-(-self.local_bytes // 16) * 16)
        self.memory = {
            "shared": Memory(blocks * step, EMPTY),
            "local": Memory(lanes * (-(-self.local_bytes // 16) * 16), EMPTY),
            "param": Memory(len(launch.parameters), WRITTEN),
            "global": device.memory,
        }
        self.memory["param"].data[: len(launch.parameters)] = np.frombuffer(
            launch.parameters, np.uint8
        )
        self.epoch = np.zeros(lanes, np.int32)
        self.warp_epoch = np.zeros(lanes, np.int32)
        self.meeting = np.zeros(lanes, np.int32)
        self.alive = None
        self.accesses: dict[str, list] = {"shared": [], "global": device.accesses}
        self.copies = Copies(self)

    # ---- memory

    def load(self, space, address, size, count, act, index):
        """`count` unsigned arrays over all lanes; zeros where a lane is not active."""
        out = []
        for where, own, at in self.places(space, address, size * count, act, index):
            memory = self.memory[where]
            for i in range(count):
                values, written = memory.load(at + i * size if i else at, size)
                if not written:
                    self.refuse(memory, at + i * size, size, False, own, index)
                values = self.whole(values, own)
                if i < len(out):
                    out[i] = out[i] | values  # another space's lanes
                else:
                    out.append(values)
            self.note(where, at, size * count, own, races.READ, index)
        return out or [np.zeros(1, UNSIGNED[size])] * count

    def store(self, space, address, size, values, act, index):
        for where, own, at in self.places(space, address, size * len(values), act, index):
            memory = self.memory[where]
            for i, value in enumerate(values):
                if not memory.store(at + i * size, size, self.chosen(value, own)):
                    self.refuse(memory, at + i * size, size, True, own, index)
            self.note(where, at, size * len(values), own, races.WRITE, index)

    def places(self, space, address, size, act, index):
        """(space, active lanes, offsets in its memory): one, or several for generic addresses."""
        if act is not None and len(act) == 0:
            return
        if space == "generic":
            windows = self.chosen(address, act) >> np.uint64(60)
            for window in np.unique(windows):
                if int(window) not in _BY_WINDOW:
                    self.fault(index, 0 if act is None else act[0], "address in no memory")
                own = np.flatnonzero(windows == window)
                own = own if act is None else act[own]
                own = None if len(own) == self.lanes else own
                bare = address & np.uint64((1 << 60) - 1)
                yield from self.places(_BY_WINDOW[int(window)], bare, size, own, index)
            return
        at = address.astype(np.int64)
        if space == "global":
            at = at - self.device.base
            limit = self.memory["global"].size
        elif space == "param" and len(at) == 1:
            yield "param", None, at
            return
        else:
            limit = {"shared": self.shared_bytes, "local": self.local_bytes,
                     "param": self.memory["param"].size}[space]  # fmt: skip
        if len(at) == 1:
            at = np.full(self.lanes if act is None else len(act), at[0])
        elif act is not None:
            at = at.take(act)
        if at.max() > limit - size or at.min() < 0:
            lane = int(np.flatnonzero((at > limit - size) | (at < 0))[0])
            self.fault(index, lane if act is None else act[lane], f"{space} memory: out of bounds "
                       f"(byte {int(at[lane])} of {limit})")  # fmt: skip
        if np.bitwise_or.reduce(at) & (size - 1):
            lane = int(np.flatnonzero(at & (size - 1))[0])
            self.fault(index, lane if act is None else act[lane], f"{space} memory: address not "
                       f"aligned to {size} bytes")  # fmt: skip
        if space == "shared":
            at = at + self.chosen(self.shared_base, act)
        elif space == "local":
            at = at + self.chosen(self.local_base, act)
        yield space, act, at

    def whole(self, values, act):
        """Over all lanes: zeros where a lane is not active."""
        if act is None:
            return values
        out = np.zeros(self.lanes, values.dtype)
        out[act] = values
        return out

    def chosen(self, values, act):
        """Of the active lanes."""
        if len(values) == 1:
            return np.broadcast_to(values, (self.lanes if act is None else len(act),))
        return values if act is None else values.take(act)

    def note(self, space, at, size, act, kind, index):
        """Keeps an access for the search for races."""
        if space not in self.accesses:
            return
        access = races.Access(
            at, size, self.lane if act is None else self.lane.take(act), kind, index,
            *(self.chosen(array, act) for array in (self.epoch, self.warp_epoch, self.meeting)),
        )  # fmt: skip
        if space == "global":
            own = self.memory["global"].may_write(at)
            if not own.all():
                access = access.of(own)
            access.lanes = access.lanes + self.first_lane
        if len(access.at):
            self.accesses[space].append(access)

    # ---- barriers

    def barrier(self, mask, index):
        """bar.sync: all lanes of a block, or none of it."""
        if mask is not None:
            alive = np.ones(self.lanes, bool) if self.alive is None else self.alive
            wrong = mask.reshape(-1, self.threads) != alive.reshape(-1, self.threads)
            wrong &= mask.reshape(-1, self.threads).any(1, keepdims=True)
            if wrong.any():
                self.fault(index, np.flatnonzero(wrong.ravel())[0], "a barrier that this thread "
                           "does not reach with the others of its block")  # fmt: skip
        self.find_races(mask)
        self.epoch = self.epoch + (1 if mask is None else mask.astype(np.int32))

    def find_races(self, mask):
        """In shared memory, among the lanes in the mask, since their last barrier."""
        accesses, kept = self.accesses["shared"], []
        if mask is not None:
            later = [access.of(~mask[access.lanes]) for access in accesses]
            kept = [access for access in later if len(access.at)]
            accesses = [access.of(mask[access.lanes]) for access in accesses]
            accesses = [access for access in accesses if len(access.at)]
        self.accesses["shared"] = kept
        found = races.find_race(accesses, self.threads)
        if found:
            self.race("shared", *found)

    def race(self, space, first, second):
        code = self.kernel.instructions
        other = code[first[1]]
        self.fault(second[1], second[0], f"{space} memory: nothing orders this behind thread "
                   f"{first[0] % self.threads}'s {other.text} at {other.place}")  # fmt: skip

    # ---- warps

    def whole_warps(self, mask, index, members=0xFFFFFFFF):
        """Warps whose `members` are the active lanes, as indices, or None for all; faults if a warp
        is there in part."""
        if mask is None and members == 0xFFFFFFFF:
            return None
        active = np.ones(self.lanes, bool) if mask is None else mask
        active = active.reshape(-1, 32)
        wanted = (members >> np.arange(32)) & 1 == 1
        some = active.any(1)
        wrong = some[:, None] & (active != wanted)
        if wrong.any():
            self.fault(index, np.flatnonzero(wrong.ravel())[0], "lanes of the warp are not "
                       "together here, or the mask names others")  # fmt: skip
        return np.flatnonzero(some)

    def met(self, mask):
        """After a vote or a shuffle."""
        self.meeting = self.meeting + (1 if mask is None else mask.astype(np.int32))

    def warp_barrier(self, mask, members, index):
        self.whole_warps(mask, index, members)
        self.warp_epoch = self.warp_epoch + (1 if mask is None else mask.astype(np.int32))
        self.met(mask)

    # ---- lanes

    def special(self, name, axis):
        """A special register, over all lanes."""
        if name in ("tid", "ntid", "ctaid", "nctaid"):
            sizes = self.block_size if name in ("tid", "ntid") else self.grid
            place = "xyz".index(axis)
            if name.startswith("n"):
                return np.array([sizes[place]], np.uint32)
            of = self.thread if name == "tid" else self.block
            below = int(np.prod(sizes[:place]))
            return (of // below % sizes[place]).astype(np.uint32)
        one = np.uint32(1)
        return {
            "laneid": lambda: self.lane_in_warp,
            "warpid": lambda: (self.thread // 32).astype(np.uint32),
            "lanemask_eq": lambda: one << self.lane_in_warp,
            "lanemask_lt": lambda: (one << self.lane_in_warp) - one,
            "lanemask_le": lambda: (one << self.lane_in_warp) * np.uint32(2) - one,
            "lanemask_ge": lambda: ~((one << self.lane_in_warp) - one),
            "lanemask_gt": lambda: ~((one << self.lane_in_warp) * np.uint32(2) - one),
        }[name]()

    def whole_mask(self, predicate, mask):
        """Of a guarded instruction."""
        own = np.broadcast_to(predicate, (self.lanes,))
        return own.copy() if mask is None else own & mask

    def active_mask(self, mask):
        active = np.ones(self.lanes, bool) if mask is None else mask
        bits = active.reshape(-1, 32).astype(np.uint64) << np.arange(32, dtype=np.uint64)
        return np.repeat(bits.sum(1), 32).astype(np.uint32)

    def end(self, mask):
        """Lanes that have come to the kernel's end."""
        if self.alive is None:
            self.alive = np.ones(self.lanes, bool)
        self.alive &= False if mask is None else ~mask

    # ---- faults

    def refuse(self, memory, at, size, write, act, index, poison=False):
        """A fault, unless there is none (Memory.why_not)."""
        found = memory.why_not(at, size, write, poison)
        if found:
            space = next(name for name, own in self.memory.items() if own is memory)
            lane = found[0] if act is None else act[found[0]]
            self.fault(index, lane, f"{space} memory: {found[1]}")

    def fault(self, index, lane, what):
        instruction = self.kernel.instructions[index]
        lane = int(lane) % self.lanes
        raise Fault(
            f"{instruction.place}: {what} (thread {self.thread[lane]} of block "
            f"{self.block[lane]}; {instruction.text}; {self.device.short(self.kernel.name)})"
        )
