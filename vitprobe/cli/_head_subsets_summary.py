"""What `vitprobe head-subsets` prints."""

from pathlib import Path

import numpy as np
import xarray as xr
from rich.table import Table

from vitprobe.cli._summary import new_console, say, say_end, say_model

_MOST_LAYERS = 6


def print_summary(result: xr.Dataset, paths: list[Path]) -> None:
    """What was compared, every subset's distance and CKA, the seconds, what was written."""
    console, attrs = new_console(), result.attrs
    for key in ("model_a", "model_b"):
        say_model(console, attrs, key)
    say(
        console,
        "data",
        f"{attrs['dataset']} {attrs['split']}: {attrs['examples']:,} examples in "
        f"{attrs['batches']} batch{'' if attrs['batches'] == 1 else 'es'} of "
        f"{attrs['batch_size']}, {attrs['order']} order",
    )
    console.print()
    title = f"heads of {attrs['model_a']} {attrs['layer_a']}: distance (px), CKA with layers of "
    table = Table(title=title + attrs["model_b"], title_justify="left", box=None, pad_edge=False)
    table.add_column("heads")
    layers = result["layer"].values[:_MOST_LAYERS]
    for heading in ("distance", *map(str, layers)):
        table.add_column(heading, justify="right")
    for row, heads in enumerate(result["heads"].values):
        values = result["cka"].values[row, : len(layers)]
        table.add_row(
            str(heads),
            f"{result['distance'].values[row]:.2f}",
            *("blank" if np.isnan(value) else f"{value:.3f}" for value in values),
        )
    console.print(table)
    say_end(console, attrs, paths)
