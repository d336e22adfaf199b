"""Models of several sizes against the largest of their family."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from vitprobe.figures.model_size import WORDS, groups_of
from vitprobe.report.kinds import Axis, Lines
from vitprobe.report.studies import study_figures

X = Axis("parameters", log=True)


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    return [
        each for result in results for each in study_figures(result, groups_of(result), WORDS, X)
    ]
