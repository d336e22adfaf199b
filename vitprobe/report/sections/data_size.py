"""Models trained on parts of the data against those trained on all."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from vitprobe.figures.data_size import WORDS, groups_of
from vitprobe.report.kinds import Axis, Lines
from vitprobe.report.studies import study_figures

X = Axis("of the training set", log=True, unit="%")


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    return [
        each for result in results for each in study_figures(result, groups_of(result), WORDS, X)
    ]
