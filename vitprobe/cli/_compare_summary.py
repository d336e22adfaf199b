"""What `vitprobe compare` prints and the tables it writes."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console
from scipy.stats import t as student

from vitprobe.analyses.compare_reader import CompareReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_LEVEL = 0.95


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a pair of models; empty where one of them has no value."""
    names = [str(name) for name in result["model"].values]
    numbers = ["similarity", "similarity_se", "calibrated", "p_value", "null_mean", "null_line"]
    rows = []
    for i, j in combinations(range(len(names)), 2):
        row = {"model": names[i], "model2": names[j]}
        row |= {name: result[name].values[i, j] for name in numbers if name in result}
        for name in ("matched", "matched_se"):
            row[name], row[f"{name}_back"] = (result[name].values[k] for k in ((i, j), (j, i)))
        row["blank"] = next(filter(None, (str(result["blank"].values[k]) for k in (i, j))), "")
        rows.append(row)
    return pd.DataFrame(rows).to_csv(index=False).encode()


def matches_csv_bytes(result: xr.Dataset) -> bytes | None:
    """One row a layer and other model: its best match, and how many layers cannot be told from it;
    None where the result has no layers."""
    if "match" not in result:
        return None
    of_site, names = result["site_model"].values, [str(name) for name in result["model"].values]
    alike, frames = result["alike"].values, []
    for k, name in enumerate(names):
        own = np.flatnonzero(of_site != name)
        columns = {
            "model": of_site[own],
            "layer": result["site_layer"].values[own],
            "model2": name,
            "match": result["match"].values[own, k],
            "cka": result["best"].values[own, k],
            "cka_se": result["best_se"].values[own, k],
            "alike": alike[np.ix_(own, of_site == name)].sum(1),
            "blank": result["site_blank"].values[own],
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames).to_csv(index=False).encode()


WRITERS = Writers(
    {
        ".nc": netcdf,
        ".png": lambda result: png_bytes(plot(result)),
        ".csv": csv_bytes,
        "-matches.csv": matches_csv_bytes,
    }
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: CompareReader) -> None:
        for subject, selection in zip(inputs.subjects, reader.selected, strict=True):
            say_model(console, model_facts("model", subject), "model")
            left = selection.left_out
            more = f"; left out: {counted(Counter(left.values()))}" if left else ""
            say(console, "", f"{len(selection.sites)} layers{more}")
        self.null = reader.null

    def data(self, inputs: Inputs) -> str:
        more = f"; {self.null} permutations" if self.null else ""
        return f"{super().data(inputs)}; CKA unbiased, linear{more}"


class ToldGroup(Told):
    """Of one of several groups: the images alone."""

    def describe(self, console: Console, inputs: Inputs, reader: CompareReader) -> None:
        self.null = reader.null


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, the models with the one that each is most like, seconds, files."""
    (result,) = results
    console, attrs = new_console(), result.attrs
    for name, reason in zip(result["model"].values, result["blank"].values, strict=True):
        if reason:
            say(console, "blank", f"{name}: {reason}")
    console.print()
    _print_models(console, result)
    if "p_value" in result:
        _print_chance(console, result)
    if "seconds_forward" in attrs:
        say_end(console, attrs, paths)
    else:
        console.print()
        for path in paths:
            say(console, "wrote", str(path))
    known = [k for k in range(1, result.sizes["model"] + 1) if f"model_{k}_name" in attrs]
    say_random(console, [(attrs, f"model_{k}") for k in known])


def _print_models(console: Console, result: xr.Dataset) -> None:
    """A row for each model along the dendrogram, with the one that it is most like."""
    names = [str(name) for name in result["model"].values]
    values = result["similarity"].values.copy()
    np.fill_diagonal(values, np.nan)
    df = float(result.attrs.get("se_df", 0))
    half = student.ppf((1 + _LEVEL) / 2, df) if df > 0 else np.nan
    half = half * result["similarity_se"].values
    columns: dict[str, list[str]] = {
        key: [] for key in ("model", "most like", "similarity", "95 % interval", "calibrated")
    }
    for k in np.argsort(result["order"].values):
        blank = np.isnan(values[k]).all()
        j = 0 if blank else int(np.nanargmax(values[k]))
        columns["model"].append(names[k])
        columns["most like"].append("blank" if blank else names[j])
        columns["similarity"].append("" if blank else f"{values[k, j]:.3f}")
        low, high = values[k, j] - half[k, j], values[k, j] + half[k, j]
        columns["95 % interval"].append("" if np.isnan(low) else f"{low:.3f} to {high:.3f}")
        if "calibrated" in result:
            score = result["calibrated"].values[k, j]
            columns["calibrated"].append("" if np.isnan(score) else f"{score:.3f}")
    shown = [
        Column(key, cells, "name" if key in ("model", "most like") else "number")
        for key, cells in columns.items()
        if any(cells)
    ]
    title = "each model and the one that it is most like, in the order of the dendrogram"
    print_table(console, title, shown)


def _print_chance(console: Console, result: xr.Dataset) -> None:
    """Pairs that are no more alike than by chance."""
    names = [str(name) for name in result["model"].values]
    p, line = result["p_value"].values, float(np.nanmax(result["null_line"].values, initial=0))
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2) if p[i, j] > 0.05]
    console.print()
    if not pairs:
        text = (
            f"every pair is more alike than 95 % of what permuted examples give (up to {line:.3f})"
        )
    else:
        i, j = pairs[0]
        text = (
            f"{len(pairs)} pair{'s'[: len(pairs) != 1]} no more alike than by chance (p > 0.05): "
        )
        text += f"{names[i]} and {names[j]}{', ...' if len(pairs) > 1 else ''}"
    say(console, "chance", text)
