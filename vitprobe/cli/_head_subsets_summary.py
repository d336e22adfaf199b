"""What `vitprobe head-subsets` prints."""

from pathlib import Path

import numpy as np
import xarray as xr
from rich.cells import cell_len
from rich.console import Console

from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.names import short_names
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_MOST_LAYERS = 6
_LEAST = 8  # characters of a layer's name
_MOST_HEADS = 20  # of a list of heads; a longer one is broken


WRITERS = Writers({".nc": netcdf, ".png": lambda result: png_bytes(plot(result))})


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: HeadSubsetsReader) -> None:
        site, layers = reader.site, len(reader.compared.sites)
        looked_at = (f"{site.heads} heads of {site.name}", f"{layers} layer{'s'[: layers != 1]}")
        for place, what in zip(inputs.places, looked_at, strict=True):
            say_model(console, model_facts("model", inputs.subjects[place]), "model")
            say(console, "", what)


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """Every subset's distance and CKA, the seconds, what was written."""
    (result,) = results
    console, attrs = new_console(), result.attrs
    console.print()
    _print_subsets(console, result)
    say_end(console, attrs, paths)
    say_random(console, [(attrs, "model_a"), (attrs, "model_b")])


def _print_subsets(console: Console, result: xr.Dataset) -> None:
    """A row for each subset; of the other model's layers the first, as many as there is room for.

    Their names are headings, and cut to the room; all numbers are in the file.
    """
    attrs, layers = result.attrs, [str(name) for name in result["layer"].values]
    heads = Column("heads", [str(heads) for heads in result["heads"].values], "text")
    distance = Column("distance", [f"{value:.2f}" for value in result["distance"].values])
    room = console.width - min(heads.width, _MOST_HEADS) - distance.width - 2
    shown = max(1, min(len(layers), _MOST_LAYERS, room // (_LEAST + 2)))
    names = short_names(layers[:shown], max(room // shown - 2, _LEAST), cell_len)
    columns = [heads, distance]
    for name, values in zip(names, result["cka"].values.T, strict=False):
        cells = ["blank" if np.isnan(value) else f"{value:.3f}" for value in values]
        columns.append(Column(name, cells))
    title = f"heads of {attrs['model_a']} {attrs['layer_a']}: distance (px), CKA with layers of "
    title += attrs["model_b"]
    if shown < len(layers):
        title += f" ({shown} of {len(layers)} layers; all in the .nc)"
    print_table(console, title, columns)
