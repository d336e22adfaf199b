"""What `vitprobe attention` prints and the table it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say, say_blanks, say_model, say_models
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.attention_compare import compare
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts
from vitprobe.taps.token_grid import TokenGrid

_QUANTITIES = ("distance", "distance_raw", "patch_mass", "entropy")


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a head; the column `blank` says why there is no value."""
    rows = [
        (layer, head)
        for layer, heads in enumerate(result["heads"].values)
        for head in range(int(heads))
    ]
    layers, heads = (np.array(places) for places in zip(*rows, strict=True))
    columns = {
        "layer": result["layer"].values[layers],
        "block": result["block"].values[layers],
        "head": heads,
    }
    for name in _QUANTITIES:
        columns[name] = result[name].values[layers, heads]
        columns[f"{name}_se"] = result[f"{name}_se"].values[layers, heads]
        columns[f"{name}_uniform"] = result[f"{name}_uniform"].values[layers]
    reasons = result["blank"].values[layers]
    no_value = np.isnan(columns["distance"])
    columns["blank"] = np.where(no_value, reasons, "")
    return pd.DataFrame(columns).to_csv(index=False).encode()


def writers(normalize: str | None = None) -> Writers:
    """normalize: the unit of distances in the figures."""
    return Writers(
        {
            ".nc": netcdf,
            ".png": lambda result: png_bytes(plot(result, normalize=normalize)),
            ".csv": csv_bytes,
        },
        {
            ".png": lambda results: (
                png_bytes(compare(results, normalize)) if len(results) > 1 else None
            )
        },
    )


WRITERS = writers()


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: AttentionReader) -> None:
        for heads in reader.heads:
            facts = model_facts("model", heads.model.subject)
            facts["model_image_size"] = ", ".join(map(str, heads.model.image_size))
            say_model(console, facts, "model")
            grids = Counter(
                _lie(heads.grids[site.name], site.per_image)
                for site in heads.sites
                if site.name in heads.grids
            )
            say(console, "", f"layers: {counted(grids)}")
            if heads.refused:
                reasons = Counter(site.reason for site in heads.refused)
                say(console, "", f"left out: {counted(reasons)}")


def _lie(grid: TokenGrid, windows: int) -> str:
    """Where a layer's tokens are."""
    text = (
        f"{grid.rows} x {grid.columns} patches of {grid.patch_height:g} x {grid.patch_width:g} px"
    )
    if grid.prefix:
        text += f" and {grid.prefix} more token{'s' if grid.prefix > 1 else ''}"
    return f"{text}, in {windows} windows" if windows > 1 else text


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, each layer's heads, where the seconds went, what was written."""
    console = new_console()
    for result in results:
        say_blanks(console, result, "blank", "blank")
    say_models(console, results, paths, _print_layers)


def _print_layers(console: Console, result: xr.Dataset) -> None:
    """Each layer's heads: nearest, mean and farthest distance, and mean entropy."""
    title = f"heads of {result.attrs['model']}: attention distance (px), entropy (nats)"
    headings = ("heads", "nearest", "mean", "farthest", "uniform", "entropy", "uniform")
    rows = []
    for row in range(result.sizes["layer"]):
        here = result.isel(layer=row)
        distance, entropy = here["distance"].values, here["entropy"].values
        heads = str(int(here["heads"]))
        if np.isnan(distance).all():
            rows.append([heads, "blank", *[""] * 5])
            continue
        rows.append(
            [
                heads,
                f"{np.nanmin(distance):.2f}",
                f"{np.nanmean(distance):.2f}",
                f"{np.nanmax(distance):.2f}",
                f"{float(here['distance_uniform']):.2f}",
                f"{np.nanmean(entropy):.3f}",
                f"{float(here['entropy_uniform']):.3f}",
            ]
        )
    numbers = [Column(*pair) for pair in zip(headings, zip(*rows, strict=True), strict=True)]
    names = [str(name) for name in result["layer"].values]
    print_table(console, title, [Column("layer", names, "name"), *numbers])
