"""What `vitprobe paper` prints, and the folder it writes."""

from pathlib import Path

import xarray as xr
from rich.console import Console

from vitprobe.analyses.paper import gathered
from vitprobe.analyses.paper_reader import PaperReader
from vitprobe.cli import _told
from vitprobe.cli._folder import REPORT as PAGE
from vitprobe.cli._folder import FolderWriters
from vitprobe.cli._paper_files import MAIN, REPORT, contents
from vitprobe.cli._summary import new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

WRITERS = FolderWriters(contents, MAIN)


class Told(_told.Told):
    """Prints models, analyses and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: PaperReader) -> None:
        for subject in inputs.subjects:
            say_model(console, model_facts("model", subject), "model")
        analyses = dict.fromkeys(part.reader.analysis for part in reader.parts)
        say(console, "analyses", ", ".join(name.replace("_", "-") for name in analyses))


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """The findings, what was left out and why, the seconds, where the files are."""
    paper, console = gathered(results), new_console()
    table, attrs = paper.findings, paper.summary.attrs
    console.print()
    if len(table):
        columns = [
            Column("finding (± one standard error)", table["finding"].tolist(), "text"),
            Column("in the paper", table["figure"].tolist(), "text"),
        ]
        print_table(console, "", columns)
        console.print()
    for row in paper.left_out.itertuples():
        model = f" of {row.model}" if row.model else ""
        say(console, "left out", f"{row.analysis.replace('_', '-')}{model}: {row.reason}")
    say_end(console, attrs, [])
    first = [path for path in paths if path.name in (REPORT, PAGE)]
    for path in first:
        more = f", and {len(paths) - len(first)} more files in {path.parent}"
        say(console, "wrote", f"{path}{more if path is first[-1] else ''}")
    models = [(attrs, key) for key in attrs if key.startswith("model_") and key.count("_") == 1]
    say_random(console, models)
