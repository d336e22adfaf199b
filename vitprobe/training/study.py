"""A study: which models are trained, after which pre-training, on how much data, how often.

It is data, a TOML file:

    [study]
    title = "ViT and ResNet on small data"
    dataset = "cifar10"       # the target; every run is tested on it
    seeds = [0, 1, 2]
    fractions = [0.1, 1.0]    # parts of the training set; default: all of it

    [train]                   # options of `vitprobe train`, for every run
    epochs = 100

    [[model]]
    model = "vit"             # a model spec
    label = "ViT"             # default: the spec
    family = "ViT"            # whose sizes `vitprobe model-size` compares; default: all models
    patch_size = 4            # options of this model's runs, pre-training included

    [[pretraining]]           # default: none
    dataset = "none"

    [[pretraining]]
    dataset = "cifar100"
    epochs = 200              # options of the pre-training alone
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError, did_you_mean
from vitprobe.files import expanded
from vitprobe.text import shown
from vitprobe.training.settings import NAMES
from vitprobe.training.toml import read_toml

FOLDER = Path(__file__).with_name("studies")
NONE = "none"
STUDY_KEYS = ("title", "dataset", "test_dataset", "seeds", "fractions")
# Arguments of `vitprobe.training.train` that differ from run to run.
OF_A_RUN = ("mode", "model", "dataset", "test_dataset", "checkpoint", "fraction", "seed")
OF_A_RUN += ("model_name", "output", "resume", "progress", "config")
OPTIONS = tuple(name for name in NAMES if name not in OF_A_RUN)


@dataclass(frozen=True)
class Entry:
    """A model or a pre-training set: name (spec, data set or "none"), label, own options; of a
    model the family whose sizes are compared."""

    name: str
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    family: str = ""

    @property
    def word(self) -> str:
        """The label as a part of a file's name."""
        return _word(self.label)


@dataclass(frozen=True)
class Study:
    """All combinations of models, pre-training sets, fractions and seeds are run.

    name: of the file, without its ending. dataset: the target; test_dataset: its test images,
    where they are not the data set's own. fractions: in (0, 1].
    options: of `vitprobe train`, for every run; an entry's own go before them, and `overrides`
    (`--epochs`, say) before both.
    """

    name: str
    title: str
    dataset: str
    models: tuple[Entry, ...]
    pretraining: tuple[Entry, ...]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    test_dataset: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)


def ready_studies() -> list[str]:
    """Names of the studies that come with vitprobe."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def short_names(kind: str) -> dict[str, str]:
    """The ready studies of `data-size` or `model-size`: by their data set, `digits`, their names.

    What is called like the kind itself is the study of CIFAR-10.
    """
    names = [name for name in ready_studies() if name == kind or name.startswith(f"{kind}-")]
    return {name.removeprefix(kind).removeprefix("-") or "cifar10": name for name in names}


def read_study(name: str | Path, kind: str | None = None) -> Study:
    """A study by its name, or the one in a `.toml` file of the user's.

    kind: `data-size` or `model-size`; `digits` is then short for `data-size-digits`.

    Raises:
        InputError: no such study or file, not TOML, a key that is not known, or a value that
            cannot be; the message names the file and the key.
    """
    path = _path(str(name), {} if kind is None else short_names(kind))
    return _Reader(path).study(read_toml(path))


def chosen(entries: Sequence[Entry], names: Sequence[str], option: str) -> tuple[Entry, ...]:
    """The entries with these labels or names, in the study's order.

    Raises:
        InputError: a name that no entry has; `option` is said to have it.
    """
    known = [word for entry in entries for word in (entry.label, entry.name)]
    for name in names:
        if name not in known:
            listed = ", ".join(entry.label for entry in entries)
            near = did_you_mean(name, known) or f": it has {listed}"
            raise InputError(f"{option}: the study has no {name!r}{near}")
    return tuple(entry for entry in entries if {entry.label, entry.name} & set(names))


def _path(name: str, short: Mapping[str, str]) -> Path:
    if name in short:
        return FOLDER / f"{short[name]}.toml"
    if name in ready_studies():
        return FOLDER / f"{name}.toml"
    if name.endswith(".toml"):
        return expanded(name, "study")
    ready = list(short) or ready_studies()
    ways = f": use {', '.join(ready)}, or the path of a .toml file"
    near = did_you_mean(name, [*ready, *short.values()])
    raise InputError(f"unknown study {name!r}{near or ways}")


class _Reader:
    """Tables -> Study; every message begins with the file."""

    def __init__(self, path: Path):
        self.path = path

    def study(self, tables: Mapping[str, Any]) -> Study:
        self._known("the file", tables, ("study", "train", "model", "pretraining"))
        head = self._table("study", tables.get("study", {}))
        self._known("[study]", head, STUDY_KEYS)
        title = head.get("title", self.path.stem)
        if not isinstance(title, str):
            raise self._wrong(f"title in [study] is a text, not {shown(title)}")
        return Study(
            name=self.path.stem,
            title=title,
            dataset=self._text(head, "dataset", "[study]"),
            models=self._entries(tables, "model", ("model", "label", "family")),
            pretraining=self._entries(tables, "pretraining", ("dataset", "label", "test_dataset"))
            if "pretraining" in tables
            else (Entry(NONE, NONE),),
            fractions=self._numbers(head, "fractions", [1.0]),
            seeds=self._numbers(head, "seeds", [0]),
            test_dataset=self._text(head, "test_dataset", "[study]")
            if "test_dataset" in head
            else None,
            options=self._options("[train]", self._table("train", tables.get("train", {}))),
        )

    def _entries(self, tables: Mapping[str, Any], kind: str, own: Sequence[str]) -> tuple:
        """An Entry of each table; `own`: its keys that are not options of every run, name first."""
        given, where, key = tables.get(kind, []), f"[[{kind}]]", own[0]
        apart = {key, "label", "family"}.intersection(own)
        if not isinstance(given, list) or not given or not all(isinstance(t, dict) for t in given):
            raise self._wrong(f"no {where}: the study needs at least one, with {key} = ...")
        entries = []
        for table in given:
            name = self._text(table, key, where)
            label = self._text({"label": name} | table, "label", where)
            family = self._text(table, "family", where) if {"family"} & apart & {*table} else ""
            rest = {k: v for k, v in table.items() if k not in apart}
            entries.append(Entry(name, label, self._options(where, rest, own), family))
        words = [entry.word for entry in entries]
        for entry in entries:
            if words.count(entry.word) > 1:
                raise self._wrong(
                    f"two {where} called {entry.label!r}: give each a label of its own, different "
                    "in its letters and digits"
                )
        return tuple(entries)

    def _options(self, where: str, table: Mapping[str, Any], own: Sequence[str] = ()) -> dict:
        """The options by the names that `train` has; dashes work where underscores do."""
        options = {name.replace("-", "_"): value for name, value in table.items()}
        for name in options:
            if name in OF_A_RUN and name not in own:
                raise self._wrong(
                    f"{name!r} in {where} differs from run to run: it follows from [study], "
                    "[[model]] and [[pretraining]]"
                )
        self._known(where, options, (*own, *OPTIONS))
        return options

    def _known(self, where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for name in table:
            if name not in known:
                near = did_you_mean(name, known) or f": use one of {', '.join(known)}"
                raise self._wrong(f"unknown key {name!r} in {where}{near}")

    def _numbers(self, head: Mapping[str, Any], key: str, default: list) -> tuple:
        """Seeds or fractions: a list of distinct numbers."""
        given = head.get(key, default)
        right = _is_fraction if key == "fractions" else _is_seed
        if not isinstance(given, list) or not given or not all(map(right, given)):
            form = "parts such as [0.1, 1.0]" if key == "fractions" else "numbers such as [0, 1, 2]"
            raise self._wrong(f"{key} in [study] is a list of {form}, not {shown(given)}")
        if len(set(given)) < len(given):
            raise self._wrong(f"{key} in [study] names the same one twice: {shown(given)}")
        return tuple(float(value) if key == "fractions" else value for value in given)

    def _text(self, table: Mapping[str, Any], key: str, where: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not _word(value):
            said = f"no {key}" if value is None else f"{key} = {shown(value)}"
            raise self._wrong(f"{said} in {where}: write {key} = and a name in quotes")
        return value

    def _table(self, name: str, given: Any) -> Mapping[str, Any]:
        if not isinstance(given, dict):
            raise self._wrong(f"{name} is a table: write [{name}] on a line of its own")
        return given

    def _wrong(self, what: str) -> InputError:
        return InputError(f"study {self.path}: {what}")


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _word(text: str) -> str:
    """`ImageNet 100` -> imagenet_100. No dashes: those stand between the words of a run's name.

    Of a path its last part is taken, of `KIND:NAME` the name.
    """
    last = re.sub(r"^.*[/\\:](?=.*\w)", "", text)
    return re.sub(r"[^\w.]+", "_", last.lower()).strip("_.")
