"""What `vitprobe skips` prints and the table it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.skips_reader import SkipsReader
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
from vitprobe.figures.skips_compare import compare
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_VALUES = ("ratio", "ratio_se", "cosine", "cosine_se", "z_norm", "f_norm", "infinite", "undirected")

_AROUND = {"attention": "around attention", "mlp": "around MLPs", "block": "around blocks"}


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row for each layer and group of tokens that it has; `blank` says why there is no
    value."""
    tokens = result["tokens"].values
    layers, groups = np.nonzero((tokens > 0) | (tokens.sum(1, keepdims=True) == 0))
    columns = {name: result[name].values[layers] for name in ("layer", "block", "kind")}
    columns |= {"group": result["group"].values[groups], "tokens": tokens[layers, groups]}
    columns |= {name: result[name].values[layers, groups] for name in _VALUES}
    no_value = np.isnan(columns["ratio"])
    columns["blank"] = np.where(no_value, result["blank"].values[layers], "")
    return pd.DataFrame(columns).to_csv(index=False).encode()


WRITERS = Writers(
    {".nc": netcdf, ".png": lambda result: png_bytes(plot(result)), ".csv": csv_bytes},
    {".png": lambda results: png_bytes(compare(results)) if len(results) > 1 else None},
)


class Told(_told.Told):
    """Prints models, skips and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: SkipsReader) -> None:
        for model, skips in zip(reader.models, reader.skips, strict=True):
            facts = model_facts("model", model.subject)
            facts["model_image_size"] = ", ".join(map(str, model.image_size))
            say_model(console, facts, "model")
            kinds = Counter(_AROUND[skip.site.sum.kind] for skip in skips)
            say(console, "", f"skips: {counted(kinds)}")


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, the ratio and cosine of each layer, what was written."""
    console = new_console()
    for result in results:
        say_blanks(console, result, "blank", "blank")
    say_models(console, results, paths, _print_layers)


def _print_layers(console: Console, result: xr.Dataset) -> None:
    title = f"skips of {result.attrs['model']}: |skip| / |branch|, and their cosine"
    columns = [
        Column("layer", [str(name) for name in result["layer"].values], "name"),
        Column("kind", [kind_words(kind) for kind in result["kind"].values]),
    ]
    for group in result["group"].values.tolist():
        if not result["tokens"].sel(group=group).any():
            continue
        for name, form in (("ratio", "{:.3g}"), ("cosine", "{:.3f}")):
            values = result[name].sel(group=group).values
            texts = ["" if np.isnan(value) else form.format(value) for value in values]
            columns.append(Column(f"{name}, {group}", texts))
    print_table(console, title, columns)
