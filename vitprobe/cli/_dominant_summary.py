"""What `vitprobe dominant` prints."""

from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console

from vitprobe.analyses.dominant_reader import DominantReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

WRITERS = Writers({".nc": netcdf, ".png": lambda result: png_bytes(plot(result))})

_MOST_ROWS = 40  # of layers; of more there is the first of each few, and the file has all
_MOST_EXAMPLES = 8


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: DominantReader) -> None:
        for subject, selection in zip(inputs.subjects, reader.selected, strict=True):
            say_model(console, model_facts("model", subject), "model")
            count = len(selection.sites)
            say(console, "", f"{count} layer{'' if count == 1 else 's'}")
            if selection.left_out:
                say(console, "", f"left out: {counted(Counter(selection.left_out.values()))}")


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, each layer's share, the examples, the seconds, what was written."""
    console = new_console()
    for result in results:
        model = result.attrs["model"]
        for name, what in (("blank", "blank"), ("blank_without", "blank without them")):
            if reasons := Counter(filter(None, result[name].values.tolist())):
                say(console, "blank", f"{model}, {what}: {counted(reasons)}")
    for result in results:
        console.print()
        _print_layers(console, result)
        _print_examples(console, result)
    say_end(console, results[0].attrs, paths)
    say_random(console, [(result.attrs, "model") for result in results])


def _print_layers(console: Console, result: xr.Dataset) -> None:
    """Of each layer the first component's share, and its mean CKA with the others, twice."""
    rows = np.arange(result.sizes["layer"])
    step = -(-len(rows) // _MOST_ROWS)
    title = f"{result.attrs['model']}: first component's share, mean CKA with the other layers"
    if step > 1:
        title += f" ({len(rows[::step])} of {len(rows)} layers; all in the .nc)"
    names = [str(name) for name in result["layer"].values]
    share, error = result["first_share"].values, result["first_share_se"].values
    columns = [
        Column("layer", [names[row] for row in rows[::step]], "name"),
        Column("share", [_number(share[row]) for row in rows[::step]]),
        Column("s.e.", [_number(error[row]) for row in rows[::step]]),
    ]
    for heading, name in (("CKA", "cka"), ("without", "cka_without")):
        values = result[name].values.copy()
        np.fill_diagonal(values, np.nan)
        there = np.isfinite(values)
        sums, counts = np.where(there, values, 0).sum(1), there.sum(1)
        means = np.where(counts, sums / np.maximum(counts, 1), np.nan)
        columns.append(Column(heading, [_number(means[row]) for row in rows[::step]]))
    print_table(console, title, columns)


def _print_examples(console: Console, result: xr.Dataset) -> None:
    told = [
        f"{number} ({score:.2g})"
        for number, score in zip(
            result["examples"].values[:_MOST_EXAMPLES].tolist(),
            result["score"].values[:_MOST_EXAMPLES].tolist(),
            strict=True,
        )
    ]
    more = ", ..." if result.sizes["rank"] > _MOST_EXAMPLES else ""
    console.print()
    say(console, "highest", f"{', '.join(told)}{more}: number in the data (score)")
    count, examples = result.attrs["examples_left_out"], result.attrs["examples"]
    say(console, "left out", f"{count:,} of {examples:,} examples, in the second map")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"
