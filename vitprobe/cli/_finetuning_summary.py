"""What `vitprobe finetuning` prints and the tables it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.cells import cell_len
from rich.console import Console

from vitprobe.analyses.finetuning_reader import FinetuningReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.names import short_names
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_MOST = 6  # checkpoints of a table at the terminal; the CSV has all
_LONGEST = 24  # characters of a checkpoint's name there


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a checkpoint and layer; the column `blank` says why there is no value."""
    return _table(result, "layer", ("cka", "cka_se"), "blank")


def distance_csv_bytes(result: xr.Dataset) -> bytes | None:
    """The same of attention distance; None where there is none."""
    if "distance" not in result:
        return None
    return _table(result, "attention_layer", ("distance", "distance_se"), "attention_blank")


def _table(result: xr.Dataset, dim: str, values: tuple[str, ...], blank: str) -> bytes:
    checkpoints, layers = result.sizes["checkpoint"], result.sizes[dim]
    columns = {
        "checkpoint": np.repeat(result["checkpoint"].values, layers),
        dim: np.tile(result[dim].values, checkpoints),
        **{name: result[name].values.ravel() for name in values},
        "blank": result[blank].values.ravel(),
    }
    return pd.DataFrame(columns).to_csv(index=False).encode()


WRITERS = Writers(
    {
        ".nc": netcdf,
        ".png": lambda result: png_bytes(plot(result)),
        ".csv": csv_bytes,
        "-distance.csv": distance_csv_bytes,
    }
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: FinetuningReader) -> None:
        for subject in inputs.subjects:
            say_model(console, model_facts("model", subject), "model")
        layers = len(reader.matched.names)
        attention = len(reader.heads.names) if reader.heads else 0
        more = f", {attention} with attention" if attention else ""
        say(console, "layers", f"{layers} of each{more}")


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, CKA of each layer with the first checkpoint's, seconds, files."""
    (result,) = results
    console, attrs = new_console(), result.attrs
    for name, reasons in zip(result["checkpoint"].values, result["blank"].values, strict=True):
        if blanks := Counter(filter(None, reasons.tolist())):
            say(console, "blank", f"{name}: {counted(blanks)}")
    console.print()
    _print_layers(console, result)
    say_end(console, attrs, paths)
    say_random(console, [(attrs, f"model_{k + 1}") for k in range(result.sizes["checkpoint"])])


def _print_layers(console: Console, result: xr.Dataset) -> None:
    """A row for each layer, a column for each checkpoint; of many the first and the last ones."""
    names = [str(name) for name in result["checkpoint"].values]
    shown = list(range(1, len(names))) or [0]
    title = f"CKA of each layer with that of {names[0]}"
    if len(shown) > _MOST:
        places = np.linspace(0, len(shown) - 1, _MOST).round().astype(int)
        title += f" ({_MOST} of {len(shown)} checkpoints; all in the CSV)"
        shown = [shown[place] for place in places]
    columns = [Column("layer", [str(name) for name in result["layer"].values], "name")]
    headings = short_names([names[k] for k in shown], _LONGEST, cell_len)
    for heading, place in zip(headings, shown, strict=True):
        of_one = result.isel(checkpoint=place)
        columns.append(Column(heading, [_cell(value) for value in of_one["cka"].values]))
        if len(shown) == 1:
            columns.append(Column("s.e.", [_cell(value, "") for value in of_one["cka_se"].values]))
    print_table(console, title, columns)


def _cell(value: float, blank: str = "blank") -> str:
    return blank if np.isnan(value) else f"{value:.3f}"
