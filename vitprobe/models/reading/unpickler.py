"""A pickle machine that builds data and never runs anything.

A pickle is a program for a stack machine of some 70 instructions, a few of which import or call
what the file names. `pickletools.genops` of the standard library splits it into its instructions
and executes nothing; the machine below then does what each says, with three differences from
`pickle.Unpickler`: the name of a class or function becomes a `Placeholder`, never an import; a call
is one of the few in `calls.py`, or else a `Placeholder` with its arguments; what is done to an
object (append, set an item, set its state) is done to exact types only, so that no method of
anything is looked up. A subclass of `pickle.Unpickler` would look up `__setstate__`, `extend` or
`__setitem__` (of tensors too), and the one in C allocates whatever the file's indices say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pickletools import genops
from typing import Any, BinaryIO

from vitprobe.models.reading.calls import CALLS, with_state
from vitprobe.models.reading.limits import Refused, Room, dict_of, set_of
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.tensor_calls import DTYPES

NAME = 1024  # characters of a dotted name, at most
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # also in protocols 0 to 2


class InertUnpickler:
    """Reads pickles of any protocol.

    room: the memory that the file may ask for.
    persistent_load: what stands for an object outside the pickle, given what the pickle says of it.
    calls: what is built instead of a placeholder, by dotted name; see `calls.CALLS`.
    """

    def __init__(
        self,
        room: Room,
        persistent_load: Callable[[Any], Any],
        calls: Mapping[str, Callable[..., Any]] = CALLS,
    ):
        self.room = room
        self.persistent_load = persistent_load
        self.calls = calls

    def load(self, file: BinaryIO) -> Any:
        """The object of the pickle at the file's position, which is just after it then.

        file: one whose reads never allocate more than is left (BytesIO, mmap). Raises ValueError
        (Refused among them) or LookupError for a pickle that is damaged or asks for too much.
        """
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.places: dict[int, int] = {}  # of placeholders in the memo: id -> index
        for opcode, arg, _ in genops(file):
            if opcode.name in PUSHED:
                self.stack.append(arg)
            elif opcode.name in OPERATIONS:
                OPERATIONS[opcode.name](self, arg)
            else:  # EXT1 and its like, out-of-band buffers
                raise Refused(f"it has the pickle instruction {opcode.name}")
        return self.stack.pop()

    def proto(self, number: int) -> None:
        if number > 5:
            raise Refused("it has a pickle protocol that does not exist")

    # Stack and memo

    def popped(self) -> list[Any]:
        """What lies above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def put(self, index: int) -> None:
        value = self.memo[index] = self.stack[-1]
        if type(value) is Placeholder:
            self.places[id(value)] = index

    def replace(self, value: Any) -> None:
        """Put a value in the place of the one on top, in the memo too."""
        old, self.stack[-1] = self.stack[-1], value
        index = self.places.get(id(old))
        if self.memo.get(index) is old:
            self.memo[index] = value

    # Containers

    def tuple_of(self, length: int) -> None:
        if len(self.stack) < length:
            raise Refused("its pickle takes more from the stack than there is")
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target += items
        elif type(target) is set:
            target |= set_of(items)
        elif type(target) is Placeholder:
            target.items += items
        else:
            raise Refused("it appends to what is no list")

    def update(self, flat: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is dict:
            target |= dict_of(flat)
        elif type(target) is Placeholder:
            target.entries |= dict_of(flat)
        else:
            raise Refused("it sets an item of what is no dict")

    # Names, calls and state

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or len(module) + len(name) > NAME:
            raise Refused("it names a class by what is no name")
        dotted = f"{PYTHON_2.get(module, module)}.{name}"
        self.stack.append(DTYPES.get(dotted) or Placeholder(dotted))

    def call(self, function: Any, args: Any, kwargs: Any) -> None:
        """Push what a call gives: data where the name is known, and else a placeholder."""
        kinds = type(function), type(args), type(kwargs)
        if kinds != (Placeholder, tuple, dict):
            raise Refused("it calls what is no function")
        known = None if function.args is not None or kwargs else self.calls.get(function.name)
        result = known(self.room, args) if known else None
        self.stack.append(Placeholder(function.name, args, kwargs) if result is None else result)

    def reduce(self, _: Any) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.call(function, args, {})

    def new_with_names(self, _: Any) -> None:
        kwargs, args, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.call(function, args, kwargs)

    def obj(self, _: Any) -> None:
        function, *args = self.popped()
        self.call(function, tuple(args), {})

    def inst(self, names: str) -> None:
        args = tuple(self.popped())
        self.name(*names.split(" ", 1))
        self.call(self.stack.pop(), args, {})

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        self.replace(with_state(self.room, self.stack[-1], state))


PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
OPERATIONS: dict[str, Callable[[InertUnpickler, Any], None]] = {
    "PROTO": InertUnpickler.proto,
    "FRAME": lambda machine, arg: None,
    "STOP": lambda machine, arg: None,
    "MARK": lambda machine, arg: machine.marks.append(len(machine.stack)),
    "POP": InertUnpickler.pop,
    "POP_MARK": lambda machine, arg: machine.popped() and None,
    "DUP": lambda machine, arg: machine.stack.append(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), InertUnpickler.put),
    "MEMOIZE": lambda machine, arg: machine.put(len(machine.memo)),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"),
        lambda machine, arg: machine.stack.append(machine.memo[arg]),
    ),
    "NONE": lambda machine, arg: machine.stack.append(None),
    "NEWTRUE": lambda machine, arg: machine.stack.append(True),
    "NEWFALSE": lambda machine, arg: machine.stack.append(False),
    "BYTEARRAY8": lambda machine, arg: machine.stack.append(bytes(arg)),
    "EMPTY_TUPLE": lambda machine, arg: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, arg: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, arg: machine.stack.append({}),
    "EMPTY_SET": lambda machine, arg: machine.stack.append(set()),
    "TUPLE1": lambda machine, arg: machine.tuple_of(1),
    "TUPLE2": lambda machine, arg: machine.tuple_of(2),
    "TUPLE3": lambda machine, arg: machine.tuple_of(3),
    "TUPLE": lambda machine, arg: machine.stack.append(tuple(machine.popped())),
    "LIST": lambda machine, arg: machine.stack.append(machine.popped()),
    "DICT": lambda machine, arg: machine.stack.append(dict_of(machine.popped())),
    "FROZENSET": lambda machine, arg: machine.stack.append(frozenset(set_of(machine.popped()))),
    "APPEND": lambda machine, arg: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, arg: machine.extend(machine.popped()),
    "ADDITEMS": lambda machine, arg: machine.extend(machine.popped()),
    "SETITEM": lambda machine, arg: machine.update([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, arg: machine.update(machine.popped()),
    "GLOBAL": lambda machine, arg: machine.name(*arg.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, arg: machine.name(machine.stack.pop(-2), machine.stack.pop()),
    "REDUCE": InertUnpickler.reduce,
    "NEWOBJ": InertUnpickler.reduce,
    "NEWOBJ_EX": InertUnpickler.new_with_names,
    "OBJ": InertUnpickler.obj,
    "INST": InertUnpickler.inst,
    "BUILD": InertUnpickler.build,
    "BINPERSID": lambda machine, arg: machine.stack.append(
        machine.persistent_load(machine.stack.pop())
    ),
}
