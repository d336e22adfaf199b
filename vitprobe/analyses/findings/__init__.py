"""What results show, in plain sentences: for the analysis NAME, `findings` of NAME.py here.

Each is a function of the results of one analysis, of one run, to a list of `Finding`.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import xarray as xr

from vitprobe.analyses.findings.finding import Finding


def findings_of(results: Sequence[xr.Dataset]) -> list[tuple[str, Finding]]:
    """The analysis and each finding, of results of any analyses, in their order; of those that
    nothing is said of, none."""
    by_analysis: dict[str, list[xr.Dataset]] = {}
    for result in results:
        by_analysis.setdefault(result.attrs["analysis"], []).append(result)
    found = []
    for analysis, of_one in by_analysis.items():
        name = f"{__name__}.{analysis}"
        if find_spec(name):
            found += [(analysis, each) for each in import_module(name).findings(of_one)]
    return found
