"""What `vitprobe compare-training` prints, and its table as a file."""

import csv
from pathlib import Path

import xarray as xr
from rich.table import Table

from vitprobe.analyses.compare_training import rows
from vitprobe.cli._summary import new_console, say
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
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("model", "pre-training"):
        table.add_column(heading, overflow="fold")
    for heading in ("data", "mean", "min", "max", "seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    found = rows(result)
    if blanks := any(row["reason"] for row in found):
        table.add_column("blank because", overflow="fold")
    for row in found:
        shares = [row[key] for key in ("mean", "min", "max")]
        cells = ["blank" if share is None else f"{100 * share:.1f}" for share in shares]
        cells = [row["model"], row["pretraining"], percent(row["fraction"]), *cells]
        table.add_row(*cells, str(row["seeds"]), *([row["reason"]] if blanks else []))
    console.print(table)
    console.print()
    for path in paths:
        say(console, "wrote", str(path))


def write_csv(result: xr.Dataset, path: Path) -> None:
    """The rows of the table; shares of 1, empty where blank."""
    found = rows(result)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
