"""The folder of `vitprobe paper`: the files of every analysis, and the report that shows them."""

from collections.abc import Sequence
from importlib import import_module

import xarray as xr

from vitprobe.analyses.paper import PICTURES, gathered
from vitprobe.cli._names import file_names, joint, run_words, stems, told_options
from vitprobe.cli._output import RESULT, netcdf
from vitprobe.cli._paper_report import report
from vitprobe.figures import png_bytes
from vitprobe.figures.paper_overview import overview

MAIN, REPORT, TABLE = "findings.nc", "findings.md", "findings.csv"
OVERVIEW = "overview.png"


def contents(results: Sequence[xr.Dataset]) -> tuple[list[xr.Dataset], dict[str, bytes]]:
    """The results of all analyses, the findings first; and name -> what is in the file, of all
    files. results: as the reader and `pictures` give."""
    paper = gathered(results)
    files: dict[str, bytes] = {}
    drawn: dict[str, list[str]] = {}
    for analysis, of_one in paper.results.items():
        own = _of_pictures(of_one) if analysis in PICTURES else _of_analysis(analysis, of_one)
        files |= own
        drawn[analysis] = [name for name in own if name.endswith(".png")]
    page = overview(paper.results)
    if page is not None:
        files[OVERVIEW] = png_bytes(page)
    first = {
        MAIN: netcdf(paper.summary),
        REPORT: report(paper, drawn, "" if page is None else OVERVIEW).encode(),
        TABLE: paper.findings.to_csv(index=False).encode(),
    }
    found = [paper.summary, *(each for of_one in paper.results.values() for each in of_one)]
    return found, first | files


def _of_analysis(analysis: str, results: Sequence[xr.Dataset]) -> dict[str, bytes]:
    """What the analysis's own command writes, under the same names."""
    writers = import_module(f"vitprobe.cli._{analysis}_summary").WRITERS
    facts = [result.attrs for result in results]
    words = run_words(told_options(facts[0]), analysis)
    names = file_names(stems(facts, words), list(writers.each))
    held = [write(result) for result in results for write in writers.each.values()]
    names += file_names([joint(facts, words)], list(writers.together))
    held += [write(results) for write in writers.together.values()]
    return _there(names, held)


def _of_pictures(results: Sequence[xr.Dataset]) -> dict[str, bytes]:
    """Of single images, a result each model."""
    files: dict[str, bytes] = {}
    for result in results:
        labels = result["image"].values.tolist()
        writers, words = import_module(f"vitprobe.cli.{result.attrs['analysis']}").drawn(labels)
        options = told_options(result.attrs)
        (name,) = stems([result.attrs], [*words, *run_words(options)])
        writers = {RESULT: netcdf} | writers
        held = [write(result) for write in writers.values()]
        files |= _there(file_names([name], list(writers)), held)
    return files


def _there(names: Sequence[str], held: Sequence[bytes | None]) -> dict[str, bytes]:
    return {name: data for name, data in zip(names, held, strict=True) if data is not None}
