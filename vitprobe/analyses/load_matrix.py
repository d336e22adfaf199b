"""Matrices of CKA that other packages computed, as results of ours."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from vitprobe.analyses.cka_result import PairLayers, layers_dataset
from vitprobe.errors import InputError, did_you_mean, say
from vitprobe.files import regular_file
from vitprobe.models.reading.numpy_file import read_numpy_file
from vitprobe.models.reading.torch_file import read_torch_file
from vitprobe.passes.provenance import as_attribute, run_attributes, versions
from vitprobe.text import printable

ENDINGS = (".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz")
TORCH_CKA, PYTORCH_CKA = TOOLS = ("torch_cka", "pytorch-cka")
MOST = 10_000  # layers of a model

_NO_VALUE = "no value in the matrix"
_SAID = {
    TORCH_CKA: "torch_cka: unbiased HSIC summed over mini-batches, in float32",
    PYTORCH_CKA: "pytorch-cka: unbiased HSIC summed over mini-batches, in float32; CKA below 0 is "
    "written as 0, above 1 as 1",
}

Matrix = Tensor | np.ndarray | Sequence


def load_matrix(
    source: str | Path | Mapping[str, Any] | Matrix,
    *,
    layers_a: Sequence[str] | None = None,
    layers_b: Sequence[str] | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    tool: str | None = None,
) -> xr.Dataset:
    """A matrix of CKA that torch_cka, pytorch-cka or anything else computed, as a result that
    `vitprobe.plot`, `vitprobe.match_layers` and the commands that read results take.

    >>> vitprobe.load_matrix(cka.export())                                        # torch_cka
    >>> vitprobe.load_matrix(compute_cka(a, b, loader, layers=names), layers_a=names)  # pytorch-cka

    Args:
        source: what `torch_cka.CKA.export()` gives; a matrix (layers of a, layers of b), NumPy,
            torch or lists, or a list with one, as pytorch-cka's `compute_cka` gives it; or a file
            with any of these, of torch.save, pickle, numpy.save or numpy.savez (nothing in it is
            run).
        layers_a: names of the rows; None: the file's own, else their numbers.
        layers_b: of the columns; None: the file's own, of a square matrix else those of the rows.
        model_a, model_b: labels; None: the file's own, else `a` and `b`.
        tool: `torch_cka` or `pytorch-cka`; None: known of what
            `export()` gave, else not.

    Returns:
        Dataset as of `vitprobe.cka`: `cka`, (layer_a, layer_b) float64; `cka_se`, `hsic`: NaN, as
        no tool exports what they are made of; `blank_a`, `blank_b` say where a row or column has no
        value. Attributes: `imported_from` (the tool, or `a matrix`), `dataset`, `notes`.

    Raises:
        InputError: a file that cannot be read, no matrix in it, or names that are not as many as
            its rows and columns.
    """
    if tool is not None and tool not in TOOLS:
        raise InputError(f"unknown tool {tool!r}: {' or '.join(TOOLS)}{did_you_mean(tool, TOOLS)}")
    what = f"matrix {printable(source)}" if isinstance(source, (str, Path)) else "the matrix"
    held = _read(source) if isinstance(source, (str, Path)) else source
    told: Mapping[str, Any] = {}
    if isinstance(held, Mapping):
        if "CKA" not in held:
            keys = ", ".join(map(printable, list(held)[:5])) or "none"
            raise InputError(f"{what}: no CKA among its keys ({keys}), as torch_cka exports it")
        told, held, tool = held, held["CKA"], tool or TORCH_CKA
    values = _values(held, what)
    rows = _names(layers_a, told.get("model1_layers"), values.shape[0], f"{what}: layers_a")
    square = rows if layers_b is None and values.shape[0] == values.shape[1] else None
    columns = _names(
        layers_b, told.get("model2_layers", square), values.shape[1], f"{what}: layers_b"
    )
    notes = [_SAID[tool]] if tool else []
    notes.append("no standard errors: the matrix holds no more than the values")
    if tool == TORCH_CKA and (wrong := _misnamed(rows, columns)):
        say(notes, wrong)
    return _dataset(
        values,
        rows,
        columns,
        {
            "model_a": model_a or _text(told.get("model1_name")) or "a",
            "model_b": model_b or _text(told.get("model2_name")) or "b",
            **({"dataset": data} if (data := _data(told)) else {}),
            "imported_from": tool or "a matrix",
            **({"estimator": "unbiased", "kernel": "linear"} if tool else {}),
        },
        notes,
    )


def _read(path: str | Path) -> Any:
    place = regular_file(path, "matrix")
    if place.suffix.lower() in (".npy", ".npz"):
        return read_numpy_file(path, "matrix")
    return read_torch_file(place)


def _values(held: Any, what: str) -> np.ndarray:
    """(rows, columns) float64; of a list with one matrix that one."""
    if isinstance(held, Tensor):
        held = held.detach().cpu().double().numpy()
    elif isinstance(held, (list, tuple)) and held and isinstance(held[0], (Tensor, np.ndarray)):
        if len(held) > 1:
            raise InputError(f"{what} is one of {len(held)}, of a data set each: give one of them")
        return _values(held[0], what)
    try:
        values = np.asarray(held, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} holds no matrix of numbers") from error
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or not values.size or max(values.shape) > MOST:
        raise InputError(
            f"{what} has the shape {values.shape}: a matrix is (layers of a, layers of b)"
        )
    return values


def _names(given: Any, held: Any, count: int, what: str) -> list[str]:
    """The names that were given, else those held, else numbers; the root's is `output`."""
    found = given if given is not None else held
    if found is None:
        return [str(number) for number in range(count)]
    names = [str(name) or "output" for name in np.asarray(found, dtype=object).reshape(-1)]
    if len(names) != count:
        raise InputError(f"{what}: {len(names)} names for {count} layers of the matrix")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{what}: two layers are called {twice!r}")
    return names


def _misnamed(*sides: Sequence[str]) -> str:
    """What is wrong with the names, or "": torch_cka lists modules as they are registered,
    containers first, and fills its rows as they fire, containers last."""
    for names in sides:
        for place, name in enumerate(names):
            inside = name == "output" or any(
                other.startswith(f"{name}.") for other in names[place + 1 :]
            )
            if inside and place + 1 < len(names):
                return (
                    f"names of layers are wrong: torch_cka lists {name!r} before the layers in it, "
                    "and its row after theirs; give it the names of layers that hold no others "
                    "(model1_layers, model2_layers)"
                )
    return ""


def _data(told: Mapping[str, Any]) -> str:
    names = [_text(told.get(f"dataset{k}_name")) for k in (1, 2)]
    names = [re.sub(r"^<(.*) object at 0x[0-9a-f]+>$", r"\1", name) for name in names if name]
    return " and ".join(dict.fromkeys(name.rpartition(".")[2] or name for name in names))


def _text(value: Any) -> str:
    """A text that a file may hold as an array of one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.strip() if isinstance(value, str) else ""


def _dataset(
    values: np.ndarray,
    rows: list[str],
    columns: list[str],
    facts: dict[str, Any],
    notes: list[str],
) -> xr.Dataset:
    dims = ("layer_a", "layer_b")
    finite = np.isfinite(values)
    values = np.where(finite, values, np.nan)
    a, b = _layers(rows, finite.any(1)), _layers(columns, finite.any(0))
    nothing = np.full(values.shape, np.nan)
    dataset = layers_dataset(
        a, b, {"cka": (dims, values), "cka_se": (dims, nothing), "hsic": (dims, nothing.copy())}
    ).drop_vars(["features_a", "features_b"])
    dataset["cka"].attrs["long_name"] = "centred kernel alignment"
    dataset["cka_se"].attrs["long_name"] = "standard error of cka: not in the matrix"
    dataset["hsic"].attrs["long_name"] = "Hilbert-Schmidt independence criterion: not in the matrix"
    facts = {key: as_attribute(value) for key, value in facts.items()}
    digest = sha256(values.tobytes() + repr([rows, columns]).encode()).hexdigest()
    facts = {"analysis": "cka", **facts, "matrix_sha256": digest}
    dataset.attrs = run_attributes(facts) | {"se_df": 0.0, "notes": "\n".join(notes), **versions()}
    return dataset


def _layers(names: list[str], there: np.ndarray) -> PairLayers:
    count, blanks = len(names), ["" if each else _NO_VALUE for each in there]
    return PairLayers([], names, [""] * count, [""] * count, [0] * count, blanks, {}, {})
