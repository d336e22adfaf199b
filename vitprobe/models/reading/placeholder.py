"""What stands for an object of a file that is not built, and the weights of a pickled module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vitprobe.errors import InputError

# Tensors of other kinds than the dense ones that models have: what rebuilds them, in their words.
UNREAD = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without numbers (of the meta device)",
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_wrapper_subclass": "of a subclass without storage",
}
CHARACTERS = 1 << 26  # of all names of a module's weights together
SHOWN = 100  # characters of a placeholder's name


@dataclass(slots=True, eq=False, repr=False)
class Placeholder:
    """An object of a pickle that was not built: what would have been called, and with what.

    name: dotted name of the class or function, as the file has it: it may be any text.
    args: what it would have been called with; None where the file only refers to it.
    kwargs: the same by name (rarely written).
    state: the object's attributes, mostly a dict; None where the file has none.
    items: what would have been appended, where the object is a kind of list or set.
    entries: its entries, where the object is a kind of dict.

    Equal only to itself and printed by its name alone, since what it holds may hold itself.
    """

    name: str
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        dots = "..." if len(self.name) > SHOWN else ""
        return f"<{ascii(self.name[:SHOWN])[1:-1]}{dots}>"


def unread_kind(held: Any) -> str:
    """`sparse`, `quantised` and so on, of a tensor that was not built; "" of everything else."""
    is_call = isinstance(held, Placeholder) and held.args is not None
    return UNREAD.get(held.name, "") if is_call else ""


def module_state(held: Any) -> dict[str, Tensor] | None:
    """The weights of a pickled `torch.nn.Module`, as its `state_dict()` names and orders them.

    None where `held` is no placeholder of a module. A parameter that is no plain tensor (quantised,
    sparse) is left out. Raises InputError for modules that hold each other without end.
    """
    if _members(held) is None:
        return None
    state: dict[str, Tensor] = {}
    room = CHARACTERS
    todo = [("", held)]
    while todo:
        prefix, module = todo.pop()
        members = _members(module)
        if members is None:  # None in place of a module, or a module of another kind
            continue
        tensors, modules = members
        room -= sum(len(prefix) + len(name) + 1 for held in members for name in held)
        if room < 0:
            raise InputError("the pickled model's modules hold each other without end")
        state |= {prefix + name: tensor for name, tensor in tensors.items()}
        todo += [(f"{prefix}{name}.", child) for name, child in reversed(modules.items())]
    return state


def _members(held: Any) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """A module's own tensors and its modules; None where it is none."""
    if not isinstance(held, Placeholder):
        return None
    # A torch.fx.GraphModule's attributes are an argument of what would rebuild it.
    for state in (held.state, *(held.args or ())[:1]):
        match state:
            case {"_parameters": dict() as own, "_buffers": dict() as buffers, "_modules": dict()}:
                unsaved = state.get("_non_persistent_buffers_set", ())
                unsaved = unsaved if isinstance(unsaved, set) else ()
                own = own | {key: value for key, value in buffers.items() if key not in unsaved}
                tensors = {key: value for key, value in own.items() if isinstance(value, Tensor)}
                return _named(tensors), _named(state["_modules"])
    return None


def _named(held: dict[Any, Any]) -> dict[str, Any]:
    return {key: value for key, value in held.items() if isinstance(key, str)}
