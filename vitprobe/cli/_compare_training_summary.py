"""What `vitprobe compare-training` prints, and its table as a file."""

import csv
import io
from pathlib import Path

import xarray as xr

from vitprobe.analyses.compare_training import rows
from vitprobe.cli._summary import new_console, say
from vitprobe.cli._table import Column, print_table
from vitprobe.training.study_runs import percent


def print_summary(result: xr.Dataset, paths: list[Path]) -> None:
    """The study, a row for each model, pre-training and fraction, what was written."""
    console, attrs = new_console(), result.attrs
    say(console, "study", f"{attrs['study']}: {attrs['title']}")
    test = attrs["test_dataset"]
    test = "" if test == attrs["dataset"] else f", tested on {test}"
    classes = int(attrs["num_classes"])
    chance = f"; chance is {100 / classes:.1f} %" if classes else ""
    say(console, "data", f"{attrs['dataset']}{test}{chance}")
    console.print()
    title = "test accuracy in %, of the epoch that validation chose: mean, lowest, highest of seeds"
    found = rows(result)
    columns = [
        Column("model", [row["model"] for row in found], "name"),
        Column("pre-training", [row["pretraining"] for row in found], "name"),
        Column("data", [percent(row["fraction"]) for row in found]),
    ]
    for key in ("mean", "min", "max"):
        shares = [row[key] for row in found]
        cells = ["blank" if share is None else f"{100 * share:.1f}" for share in shares]
        columns.append(Column(key, cells))
    columns.append(Column("seeds", [str(row["seeds"]) for row in found]))
    if any(reasons := [row["reason"] for row in found]):
        columns.append(Column("blank because", reasons, "text"))
    print_table(console, title, columns)
    console.print()
    for path in paths:
        say(console, "wrote", str(path))


def csv_bytes(result: xr.Dataset) -> bytes:
    """The rows of the table; shares of 1, empty where blank."""
    found = rows(result)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().encode()
