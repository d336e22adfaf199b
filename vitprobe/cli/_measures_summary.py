"""What `vitprobe cka` prints and writes where measures were asked for, with CKA or without."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.cka_measures import CKAMeasuresReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.measures import MeasuresReader
from vitprobe.cli import _cka_summary as of_cka
from vitprobe.cli._measures_shown import measure_columns, print_measures
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import new_console, say, say_end, say_random
from vitprobe.cli._told import Told as AnyTold
from vitprobe.figures import plot, png_bytes
from vitprobe.passes.inputs import Inputs


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a pair of layers; the column `blank` says why there is no value by any measure."""
    count_a, count_b = result.sizes["layer_a"], result.sizes["layer_b"]
    blank_a, blank_b = (result[f"blank_{side}"].values for side in "ab")
    table = {
        "layer_a": np.repeat(result["layer_a"].values, count_b),
        "layer_b": np.tile(result["layer_b"].values, count_a),
        **measure_columns(result),
        "blank": [a or b for a in blank_a for b in blank_b],
    }
    return pd.DataFrame(table).to_csv(index=False).encode()


WRITERS = Writers(
    {".nc": netcdf, ".png": lambda result: png_bytes(plot(result)), ".csv": csv_bytes}
)


class Told(of_cka.Told):
    """Prints models, layers and data before the first batch, and what must be held together."""

    def describe(self, console: Console, inputs: Inputs, reader: CKAReader) -> None:
        super().describe(console, inputs, reader)
        self.measures = _measures_of(reader)
        if size := self.measures.bytes_together:
            about = self.measures.about
            features = sum(width for _, width in about["columns"])
            say(
                console,
                "memory",
                f"features of all {about['examples']:,} examples together: {features:,} numbers "
                f"each, {size:,} bytes ({size / 1e9:.3g} GB), twice",
            )

    def data(self, inputs: Inputs) -> str:
        specs = ", ".join(each.spec for each in self.measures.measures)
        if self.reader is not self.measures:
            return f"{super().data(inputs)}; beside it {specs}"
        return f"{AnyTold.data(self, inputs)}; {specs}, tokens {', '.join(self.tokens)}"


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """Best matches by each measure, where the seconds went, what was written."""
    console = new_console()
    crossed = [result for result in results if result.attrs["model_a"] != result.attrs["model_b"]]
    for result in crossed or results:
        print_measures(console, result)
    say_end(console, results[0].attrs, paths)
    say_random(console, [(result.attrs, f"model_{side}") for result in results for side in "ab"])


def shown_of(reader: CKAReader) -> tuple[Writers, AnyTold, Callable]:
    """For this reader of `vitprobe cka`, what writes, what is told before, and the summary."""
    if isinstance(reader, MeasuresReader):
        return WRITERS, Told(), print_summary
    told = Told() if isinstance(reader, CKAMeasuresReader) else of_cka.Told()
    return of_cka.WRITERS, told, of_cka.print_summary


def _measures_of(reader: CKAReader) -> MeasuresReader:
    return reader.beside if isinstance(reader, CKAMeasuresReader) else reader
