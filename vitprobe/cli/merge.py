"""`vitprobe merge`: the results of a run of which every machine did a share."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options


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
) -> None:
    """Add up what the shares of a run (--shard) left, and write its results.

    They are those that one run would have written. The partials stay where they are.

    Example: vitprobe merge results/*.partial
    """
    from importlib import import_module

    from vitprobe.analyses.merged import reader_of
    from vitprobe.cli._names import run_words, told_options
    from vitprobe.cli._output import ResultFiles
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
    files = f"{len(partials)} file{'s'[: len(partials) != 1]}"
    count = f"{len(sums.done)}{'' if sums.total is None else f' of {sums.total}'}"
    say(new_console(), "merged", f"{files}: {count} batch{'es' if count != '1 of 1' else ''}")
    for analysis, own_name, part, found in zip(analyses, names, sums.parts, results, strict=True):
        own = import_module(f"vitprobe.cli._{analysis}_summary")
        files = ResultFiles(output, own.WRITERS, name=own_name, overwrite=overwrite)
        facts = part.about["facts"]
        files.settle(facts, run_words(told_options(facts[0])))
        with plain_warnings():
            paths = files.save(found)
        own.print_summary(found, paths)
