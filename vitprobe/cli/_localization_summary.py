"""What `vitprobe localization` prints, and the files it writes."""

from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console

from vitprobe.analyses.localization_reader import LocalizationReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.localization_compare import compare
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

WRITERS = Writers(
    {".nc": netcdf, ".png": lambda result: png_bytes(plot(result))},
    {".png": lambda results: png_bytes(compare(results)) if len(results) > 1 else None},
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: LocalizationReader) -> None:
        for subject, places, model in zip(
            inputs.subjects, reader.places, reader.about["models"], strict=True
        ):
            say_model(console, model_facts("model", subject), "model")
            rows, columns = places.grid
            height, width = places.patch
            tokens = len(model["tokens"])
            chosen = "" if tokens == places.patches else f", {tokens} of them"
            grid = f"{rows} x {columns} tokens{chosen}, patches of {height:.3g} x {width:.3g} px"
            say(console, "", f"{places.site.name}: {grid}")


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """The two numbers of each model beside those of chance, the seconds, what was written."""
    console = new_console()
    console.print()
    columns = [
        Column("model", [str(result.attrs["model"]) for result in results], "name"),
        Column("layer", [str(result.attrs["layer"]) for result in results], "name"),
        Column("tokens", [str(int(result["counted"])) for result in results]),
        Column("own place", [_share(result["own_place"]) for result in results]),
        Column("at random", [_share(result["own_place_chance"]) for result in results]),
        Column("distance", [_patches(result["mean_distance"]) for result in results]),
        Column("at random", [_patches(result["mean_distance_chance"]) for result in results]),
    ]
    title = "most similar patch of each token: its own place (%), distance from it (patches)"
    print_table(console, title, columns)
    say_end(console, results[0].attrs, paths)
    say_random(console, [(result.attrs, "model") for result in results])


def _share(value: xr.DataArray) -> str:
    return "blank" if np.isnan(value) else f"{100 * float(value):.1f}"


def _patches(value: xr.DataArray) -> str:
    return "blank" if np.isnan(value) else f"{float(value):.2f}"
