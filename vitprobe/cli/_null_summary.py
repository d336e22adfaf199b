"""What `vitprobe cka --null` adds to the summary and to the table."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.console import Console

from vitprobe.cli._summary import say
from vitprobe.figures.chance import counted

_COLUMNS = ("null_mean", "null_line", "p_value", "calibrated")


def null_columns(result: xr.Dataset) -> dict[str, np.ndarray]:
    """Of the table with one row a pair of layers; none of a result without a null."""
    return {name: result[name].values.ravel() for name in _COLUMNS if name in result}


def say_chance(console: Console, results: Sequence[xr.Dataset]) -> None:
    """Of each result with a null how many pairs, and how many best matches, are above chance."""
    found = [result for result in results if "null_line" in result]
    for k, result in enumerate(found):
        attrs = result.attrs
        label, rule = ("", "") if k else ("chance", _rule(attrs))
        text = f"{_share(*counted(result))} pairs of layers are above chance{rule}"
        if attrs["model_a"] != attrs["model_b"]:
            text += f"; so are the best matches of {_best(result, 'a')} and {_best(result, 'b')}"
        say(console, label, f"{attrs['model_a']} and {attrs['model_b']}: {text}")


def _rule(attrs: dict) -> str:
    permutations = f"{int(attrs['null_replicates']):,} permutations"
    return f" (a line that {100 * attrs['null_alpha']:g} % of {permutations} exceed)"


def _best(result: xr.Dataset, side: str) -> str:
    """`all 72 layers of vit`."""
    p_values = result[f"p_value_best_{side}"].values
    p_values = p_values[np.isfinite(p_values)]
    above = int((p_values <= result.attrs["null_alpha"]).sum())
    return f"{_share(above, len(p_values))} layers of {result.attrs[f'model_{side}']}"


def _share(some: int, count: int) -> str:
    return f"all {count:,}" if some == count else f"{some:,} of {count:,}"
