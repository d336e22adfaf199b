"""`vitprobe compare RESULT.nc...`: models against models out of results that are there."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from vitprobe.analyses.compare_results import compare_results
from vitprobe.analyses.load_result import load_result
from vitprobe.cli._compare_summary import WRITERS, print_summary
from vitprobe.cli._options import RunOptions
from vitprobe.cli._output import ResultFiles
from vitprobe.cli._warned import plain_warnings
from vitprobe.errors import InputError
from vitprobe.passes.provenance import run_id


def compare_files(paths: Sequence[str], run: RunOptions) -> None:
    """Read results, write that of all together.

    Raises:
        InputError: a file that is no result of CKA, results of different data, a missing pair, or
            an option that is for passes over images.
    """
    for name in ("resume", "shard", "tolerance"):
        if getattr(run, name):
            raise InputError(f"--{name} is for passes over images, not for files of results")
    with plain_warnings():
        results = [load_result(path) for path in paths]
        write(compare_results(results, [Path(path).name for path in paths]), run)


def write(result: xr.Dataset, run: RunOptions, words: Sequence[str] = ()) -> list[Path]:
    """The files of a result that no single pass made, and what is said of it."""
    files = ResultFiles(
        run.output, WRITERS, name=run.name, overwrite=run.overwrite, report=run.report
    )
    facts = _facts(result)
    files.settle([facts], words)
    paths = files.save([result.assign_attrs(run=run_id(facts))])
    if not run.quiet:
        print_summary([result], paths)
    return paths


def _facts(result: xr.Dataset) -> dict:
    """What decides its numbers, as far as the results that it is made of say."""
    attrs = result.attrs
    told = (
        "analysis",
        "made_of",
        "dataset",
        "split",
        "layers",
        "tokens",
        "null_replicates",
        "passes",
    )
    facts = {key: np.asarray(attrs[key]).item() for key in told if key in attrs}
    count = result.sizes["model"]
    return facts | {f"model_{k}": attrs[f"model_{k}"] for k in range(1, count + 1)}
