"""What `vitprobe attention` prints and the table it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table

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


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What was looked at, each layer's heads, where the seconds went, what was written."""
    console = new_console()
    first = results[0].attrs
    for result in results:
        _say_model(console, result)
    batches = f"{first['batches']} batch{'' if first['batches'] == 1 else 'es'}"
    say(
        console,
        "data",
        f"{first['dataset']} {first['split']}: {first['examples']:,} examples in {batches} "
        f"of {first['batch_size']}, {first['order']} order",
    )
    for result in results:
        console.print()
        _print_layers(console, result)
    say_end(console, first, paths)
    say_random(console, [(result.attrs, "model") for result in results])


def _say_model(console: Console, result: xr.Dataset) -> None:
    say_model(console, result.attrs, "model")
    grids = Counter()
    for rows, columns, prefix, height, width, windows in zip(
        *(
            result[name].values
            for name in ("rows", "columns", "prefix", "patch_height", "patch_width", "windows")
        ),
        strict=True,
    ):
        if rows > 0:
            lie = f"{rows} x {columns} patches of {height:g} x {width:g} px"
            more = f" and {prefix} more token{'s' if prefix > 1 else ''}" if prefix else ""
            grids[f"{lie}{more}{f', in {windows} windows' if windows > 1 else ''}"] += 1
    say(console, "", f"layers: {counted(grids)}")
    if refused := Counter(result["left_out_reason"].values.tolist()):
        say(console, "", f"left out: {counted(refused)}")
    if blanks := Counter(filter(None, result["blank"].values.tolist())):
        say(console, "", f"blank: {counted(blanks)}")


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
