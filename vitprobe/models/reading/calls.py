"""The calls in a pickle that make plain data, each done by code of ours.

A function here takes the room that is left and the call's arguments, of which it trusts nothing.
It returns None for arguments that it does not know, and a placeholder is made then.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from torch import Tensor

from vitprobe.models.reading.limits import Refused, Room, checked_key, set_of
from vitprobe.models.reading.numpy_calls import NUMPY_CALLS, array_of_state
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.tensor_calls import TENSOR_CALLS

PATH = 256  # characters of a path that cost nothing


def with_state(room: Room, held: Any, state: Any) -> Any:
    """An object with its state set: itself, or what takes its place. Raises Refused."""
    if type(held) is Placeholder:
        array = array_of_state(room, held, state)
        if array is not None:
            return array
        held.state = state
    elif type(held) is argparse.Namespace and type(state) is dict:
        room.take(len(state))
        vars(held).update({key: value for key, value in state.items() if type(key) is str})
    elif type(held) not in (dict, list, set, Tensor):  # whose attributes are not their content
        raise Refused("it sets the state of what has none")
    return held


def _namespace(room: Room, args: tuple) -> argparse.Namespace | None:
    return None if args else argparse.Namespace()


def _encoded(room: Room, args: tuple) -> bytes | None:
    """_codecs.encode: how protocols 0 to 2 write bytes."""
    match args:
        case (str() as text, str() as codec) if codec in ("latin1", "latin-1"):
            room.take(len(text))
            return text.encode("latin-1")
    return None


def _bytes(room: Room, args: tuple) -> bytes | None:
    match args:
        case ():
            return b""
        case (bytes() as held,):
            return held
    return _encoded(room, args)


def _complex(room: Room, args: tuple) -> complex | None:
    match args:
        case (float() as real, float() as imaginary):
            return complex(real, imaginary)
    return None


def _list(room: Room, args: tuple) -> list | None:
    """list(), deque(items, maxlen)."""
    match args:
        case ():
            return []
        case ((list() | tuple()) as items, *_):
            room.take(len(items))
            return list(items)
    return None


def _set(room: Room, args: tuple) -> set | None:
    items = _list(room, args)
    return None if items is None else set_of(items)


def _frozenset(room: Room, args: tuple) -> frozenset | None:
    items = _set(room, args)
    return None if items is None else frozenset(items)


def _dict(room: Room, args: tuple) -> dict | None:
    """dict(), OrderedDict(), Counter(dict), OrderedDict(pairs) of Python 2."""
    match args:
        case ():
            return {}
        case (dict() as held,):
            room.take(len(held))
            return dict(held)
        case (list() as pairs,):
            room.take(len(pairs))
            if all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
                return {checked_key(key): value for key, value in pairs}
    return None


def _default_dict(room: Room, args: tuple) -> dict | None:
    return _dict(room, args[1:])


def _path(kind: type) -> Callable[[Room, tuple], str | None]:
    def path(room: Room, args: tuple) -> str | None:
        if not all(type(part) is str for part in args):
            return None
        # Paths share their folders' names, so an honest file may be shorter than its paths.
        room.take(max(0, sum(len(part) + 1 for part in args) - PATH))
        return str(kind(*args))

    return path


def _size(room: Room, args: tuple) -> tuple | None:
    """torch.Size."""
    return args[0] if len(args) == 1 and type(args[0]) is tuple else None


def _device(room: Room, args: tuple) -> str | None:
    match args:
        case (str() as kind,):
            return kind
        case (str() as kind, int() as index) if len(kind) < 64 and 0 <= index < 2**31:
            return f"{kind}:{index}"
    return None


def _new_object(room: Room, args: tuple) -> Any:
    """copyreg._reconstructor(class, base, what the base makes of this), of protocols 0 and 1."""
    match args:
        case (Placeholder(args=None) as kind, Placeholder(args=None) as base, content):
            known = CALLS.get(kind.name) if base.name == "builtins.object" else None
            made = known(room, ()) if known and known is not _new_object else None
            made = Placeholder(kind.name, ()) if made is None else made
            if type(made) is Placeholder and type(content) is dict:
                made.entries = content
            elif type(made) is Placeholder and type(content) is list:
                made.items = content
            return made
    return None


CALLS: dict[str, Callable[[Room, tuple], Any]] = {
    **TENSOR_CALLS,
    **NUMPY_CALLS,
    "_codecs.encode": _encoded,
    "argparse.Namespace": _namespace,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.complex": _complex,
    "builtins.dict": _dict,
    "builtins.frozenset": _frozenset,
    "builtins.list": _list,
    "builtins.set": _set,
    "collections.Counter": _dict,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _default_dict,
    "collections.deque": _list,
    "copyreg._reconstructor": _new_object,
    "torch.Size": _size,
    "torch.device": _device,
    **{
        f"{module}.{name}": _path(kind)
        for module in ("pathlib", "pathlib._local")
        for name, kind in {
            **dict.fromkeys(("PosixPath", "PurePosixPath", "Path"), PurePosixPath),
            **dict.fromkeys(("WindowsPath", "PureWindowsPath"), PureWindowsPath),
        }.items()
    },
}
