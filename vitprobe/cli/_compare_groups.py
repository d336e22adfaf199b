"""Models to their comparison: in one pass where memory allows, else in groups."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vitprobe.analyses.compare_parts import assembled, parts_of, smaller
from vitprobe.analyses.compare_reader import CompareReader
from vitprobe.analyses.load_result import load_result
from vitprobe.cli._analyse import analyse
from vitprobe.cli._compare_files import write
from vitprobe.cli._compare_summary import WRITERS, Told, ToldGroup, print_summary
from vitprobe.cli._ending import note
from vitprobe.cli._names import run_words
from vitprobe.cli._options import RunOptions
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import new_console, say
from vitprobe.cli._warned import plain_warnings
from vitprobe.input_options import InputOptions
from vitprobe.passes.processes import launched, writes
from vitprobe.passes.room import NoRoom
from vitprobe.passes.subjects import named_models
from vitprobe.text import printable

_GROUP = Writers({".nc": netcdf})


def compare_models(
    specs: Sequence[str],
    layers: Sequence[list[str]],
    dataset: str,
    inputs: InputOptions,
    run: RunOptions,
    *,
    tokens: str,
    null: int,
    at_once: int | None,
) -> None:
    """All pairs of the models; a run of its own for each group, where they are not all at once.

    Raises:
        InputError: what was asked for cannot be done.
    """
    asked = dict(zip(specs, layers, strict=True))
    labels = {one.label: spec for spec, one in zip(specs, named_models(specs), strict=True)}

    def one_pass(some, where, writers, told, summary) -> list[Path]:
        of_each = [asked[spec] for spec in some]
        reader = CompareReader(layers_of_each=of_each, tokens=tokens, null=null)
        return analyse(reader, some, dataset, inputs, where, writers, told, summary)

    def groups(at_once: int) -> None:
        paths, folder = [], os.path.join(run.output, f"{run.name or 'compare'}-groups")
        where, of = (
            replace(run, output=folder, name=None, report=False),
            parts_of(len(labels), at_once),
        )
        for number, places in enumerate(of, 1):
            some = [list(labels.values())[k] for k in places]
            if not run.quiet and writes():
                say(new_console(), "group", f"{number} of {len(of)}: {', '.join(some)}")
            paths += one_pass(some, where, _GROUP, ToldGroup(), lambda results, paths: None)
        if run.shard is not None and writes():
            note(
                f"each group is a run of its own: vitprobe merge the shares of each in "
                f"{printable(folder)}, then vitprobe compare the results"
            )
        elif writes():
            with plain_warnings():
                parts = [load_result(str(path)) for path in paths]
                write(assembled(parts, list(labels)), run, run_words(inputs, "compare"))

    whole = len(parts_of(len(labels), at_once)) == 1
    while True:
        try:
            if whole:
                one_pass(specs, run, WRITERS, Told(), print_summary)
            else:
                groups(at_once)
            return
        except NoRoom as error:
            fewer = smaller(len(labels), at_once)
            if fewer is None or launched():  # processes must agree; each counts its own memory
                raise
            note(f"{error.needs}: groups of up to {fewer} models go through the images instead")
            whole, at_once = False, fewer
