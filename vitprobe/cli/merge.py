"""`vitprobe merge`: the results of a run of which every machine did a share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.errors import InputError
from vitprobe.text import printable

if TYPE_CHECKING:
    from vitprobe.cli._output import ResultFiles


def command(
    partials: Annotated[
        list[str],
        typer.Argument(
            help="Files (.partial) that the shares of one run left, in any order.",
            metavar="PARTIAL...",
            show_default=False,
        ),
    ],
    *,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Go on without batches that are in no file; the result's notes say which.",
        ),
    ] = False,
    output: options.Output = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
    report: options.Report = False,
) -> None:
    """Add up what the shares of a run (--shard) left, and write its results.

    They are those that one run would have written. The partials stay where they are.

    Example: vitprobe merge results/*.partial
    """
    from importlib import import_module

    from vitprobe.analyses.merged import reader_of
    from vitprobe.cli._folder import result_files
    from vitprobe.cli._names import run_words, told_options
    from vitprobe.cli._summary import new_console, say
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.file_names import distinct, joined
    from vitprobe.passes.merge import merged
    from vitprobe.passes.results import results_of

    with plain_warnings():
        sums = merged(partials, reader_of, allow_missing)
        analyses = [part.analysis for part in sums.parts]
        results = results_of(sums, [reader_of(analysis) for analysis in analyses])
    names = [name] * len(analyses)
    if name is not None and len(analyses) > 1:  # of one pass
        names = distinct([joined([name, analysis]) for analysis in analyses])
    summaries = [import_module(f"vitprobe.cli._{analysis}_summary") for analysis in analyses]
    places = []
    for summary, own_name, part in zip(summaries, names, sums.parts, strict=True):
        files = result_files(
            output, summary.WRITERS, name=own_name, overwrite=overwrite, report=report
        )
        facts = part.about["facts"]
        files.settle(facts, run_words(told_options(facts[0]), facts[0]["analysis"]))
        if sums.incomplete and not overwrite:
            _spare(files)
        places.append(files)
    whole = "" if sums.total is None else f" of {sums.total}"
    count = f"{len(partials)} file{'s'[: len(partials) != 1]}"
    say(new_console(), "merged", f"{count} with {len(sums.done)}{whole} batches")
    for summary, files, found in zip(summaries, places, results, strict=True):
        with plain_warnings():
            paths = files.save(found)
        summary.print_summary(found, paths)


def _spare(files: ResultFiles) -> None:
    """Results of all batches are not replaced by those of some."""
    for path, held in files.there().items():
        if not held.get("incomplete"):
            raise InputError(
                f"{printable(path)} holds this run without missing batches: give another --output "
                "or --name, or --overwrite"
            )
