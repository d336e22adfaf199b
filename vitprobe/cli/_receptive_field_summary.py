"""What `vitprobe receptive-field` prints and the table it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import (
    counted,
    kind_words,
    new_console,
    say,
    say_blanks,
    say_model,
    say_models,
)
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.receptive_field_compare import compare
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_NUMBERS = ("centre", "centre_se", "r50", "r50_se", "r90", "r90_se", "area", "box")
_FACTS = ("kind", "twin", "rows", "columns", "place_row", "place_col", "point_row", "point_col")


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a layer; `no_box` and `blank` say why there is no number."""
    names = ("layer", *_FACTS, *_NUMBERS, "no_box", "covers", "blank")
    return pd.DataFrame({name: result[name].values for name in names}).to_csv(index=False).encode()


WRITERS = Writers(
    {".nc": netcdf, ".png": lambda result: png_bytes(plot(result)), ".csv": csv_bytes},
    {".png": lambda results: png_bytes(compare(results)) if len(results) > 1 else None},
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: ReceptiveFieldReader) -> None:
        for fields in reader.fields:
            facts = model_facts("model", fields.model.subject)
            facts["model_image_size"] = ", ".join(map(str, fields.model.image_size))
            say_model(console, facts, "model")
            kinds = Counter(kind_words(target.kind) for target in fields.targets)
            of = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            say(console, "", f"backward passes for each batch: {len(fields.targets)} ({of})")
            if fields.left_out:
                say(console, "", f"left out: {counted(Counter(fields.left_out.values()))}")


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, each layer's radii, where the seconds went, what was written."""
    console = new_console()
    for result in results:
        say_blanks(console, result, "blank", "blank")
        say_blanks(console, result, "no box", "no_box")
    say_models(console, results, paths, _print_layers)


def _print_layers(console: Console, result: xr.Dataset) -> None:
    """Each layer's radii, area and box."""
    rows = []
    for row in range(result.sizes["layer"]):
        here = result.isel(layer=row)
        box = "" if np.isnan(here["box"]) else f"{float(here['box']):.0f}"
        box = " ".join(filter(None, (box, str(here["covers"].values))))
        if np.isnan(here["r50"]):
            rows.append([kind_words(str(here["kind"].values)), "blank", "", "", "", box])
            continue
        rows.append(
            [
                kind_words(str(here["kind"].values)),
                f"{100 * float(here['centre']):.3g}",
                f"{float(here['r50']):.2f}",
                f"{float(here['r90']):.2f}",
                f"{float(here['area']):.0f}",
                box,
            ]
        )
    title = f"receptive fields of {result.attrs['model']} (px; centre in %)"
    headings = ("kind", "centre", "50 % within", "90 % within", "area", "box")
    numbers = [Column(*pair) for pair in zip(headings, zip(*rows, strict=True), strict=True)]
    names = [str(name) for name in result["layer"].values]
    print_table(console, title, [Column("layer", names, "name"), *numbers])
