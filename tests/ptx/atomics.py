"""atom and red: one lane after the other, in the order of lanes."""

import numpy as np

from ptx import races

_NEW = {
    "add": lambda old, value: old + value,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, value: value,
    "inc": lambda old, value: old.dtype.type(0) if old >= value else old + old.dtype.type(1),
    "dec": lambda old, value: value if old == 0 or old > value else old - old.dtype.type(1),
}


def atomic(wave, space, name, address, values, act, index):
    """What was there before, over all lanes; `values` have the operation's type."""
    kind = values[0].dtype
    out = np.zeros(wave.lanes, kind)
    for where, own, at in wave.places(space, address, kind.itemsize, act, index):
        memory = wave.memory[where]
        lanes = np.arange(wave.lanes) if own is None else own
        if not memory.load(at, kind.itemsize)[1]:
            wave.refuse(memory, at, kind.itemsize, False, own, index)
        if not memory.may_write(at).all():
            wave.refuse(memory, at, kind.itemsize, True, own, index)
        whole = memory.data.view(kind)
        given = [wave.chosen(value, own) for value in values]
        for i, (lane, place) in enumerate(zip(lanes, at // kind.itemsize, strict=True)):
            old = out[lane] = whole[place]
            if name == "cas":
                whole[place] = given[1][i] if old == given[0][i] else old
            else:
                whole[place] = _NEW[name](old, given[0][i])
        wave.note(where, at, kind.itemsize, own, races.ATOMIC, index)
    return out
