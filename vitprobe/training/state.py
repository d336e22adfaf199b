"""The state of a run, read back as data: every field of the type that the run goes on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any

from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.models.reading.torch_file import read_torch_file

FORMAT = 1
NUMBERS = (int, float)
COLUMNS = (  # of the history, see History
    "epoch",
    "train_loss",
    "val_loss",
    "val_accuracy",
    "test_loss",
    "accuracy",
    "lr",
    "seconds",
)


def read_state(path: Path) -> dict[str, Any]:
    """A whole run's state; of its file nothing is run.

    Raises InputError for a file that is damaged or another program's, and for a field that is
    missing or of another type.
    """
    try:
        state = read_torch_file(path)
    except InputError as error:
        if error.__cause__ is None:  # a folder, a pipe
            raise
        why = type(error.__cause__).__name__
        raise InputError(f"cannot read {path}: it is truncated or no checkpoint ({why})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of vitprobe train")
    for key, is_right in FIELDS.items():
        if key not in state or not is_right(state[key]):
            what = "wrong" if key in state else "missing"
            raise InputError(f"{path} is no whole checkpoint of vitprobe train: {key} is {what}")
    if any(len(column) != state["epoch"] for column in state["history"].values()):
        raise InputError(f"{path} is no whole checkpoint of vitprobe train: history is wrong")
    return state


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in value.items()
    )


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_history(value: Any) -> bool:
    """A list of numbers for each of COLUMNS."""
    return (
        isinstance(value, dict)
        and value.keys() == {*COLUMNS}
        and all(isinstance(column, list) for column in value.values())
        and all(type(number) in NUMBERS for column in value.values() for number in column)
    )


def _is_settings(value: Any) -> bool:
    """Plain values, and tables of them."""
    return _is_named(value) and all(
        _is_settings(held) if isinstance(held, dict) else _is_plain(held) for held in value.values()
    )


def _is_optimizer(value: Any) -> bool:
    """Of every weight tensors and numbers; of every group numbers and words."""
    if not isinstance(value, dict) or value.keys() != {"state", "param_groups"}:
        return False
    states, groups = value["state"], value["param_groups"]
    return (
        isinstance(states, dict)
        and all(isinstance(held, dict) for held in states.values())
        and isinstance(groups, list)
        and all(_is_named(group) and all(map(_is_plain, group.values())) for group in groups)
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(type(part) in (int, float, str) for part in value)
    return type(value) in (int, float, bool, str, NoneType)


def _is_rng(value: Any) -> bool:
    """What rng.py stores, whose own functions check the rest."""
    return _is_named(value) and value.keys() == {"torch", "cuda", "numpy", "python"}


def _is_losses(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) in NUMBERS for x in value)


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


FIELDS: dict[str, Callable[[Any], bool]] = {
    "epoch": _is_count,
    "step": _is_count,
    "finished": lambda value: type(value) is bool,
    "settings": _is_settings,
    "model_state_dict": _is_weights,
    "raw_state_dict": lambda value: value is None or _is_weights(value),
    "optimizer_state_dict": _is_optimizer,
    "rng": _is_rng,
    "losses": _is_losses,
    "seconds": lambda value: type(value) in NUMBERS,
    "history": _is_history,
    "start_sha256": lambda value: isinstance(value, str),
    "class_names": _is_text_list,
    "images": lambda value: _is_named(value) and all(map(_is_count, value.values())),
}
