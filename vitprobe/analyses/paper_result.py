"""Findings, and what was left out, as a labelled Dataset; and as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from vitprobe.analyses.findings import findings_of
from vitprobe.analyses.paper_parts import LeftOut
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.passes.reader import Ran

_TEXTS = ("finding", "analysis", "question", "figure", "models", "unit")
_LEFT_OUT = ("analysis", "model", "reason")


def paper_dataset(
    facts: Mapping[str, Any], results: Sequence[xr.Dataset], left_out: Sequence[LeftOut], ran: Ran
) -> xr.Dataset:
    """What results of one run show, each finding along `finding`; along `left_out` what there is
    not, and why."""
    found = findings_of(results)
    columns = {
        "finding": [each.sentence for _, each in found],
        "analysis": [analysis for analysis, _ in found],
        "question": [each.question.text for _, each in found],
        "figure": [each.question.figure for _, each in found],
        "models": [", ".join(each.models) for _, each in found],
        "unit": [each.unit for _, each in found],
    }
    variables = {name: ("finding", strings(columns[name])) for name in _TEXTS[1:]}
    variables |= {
        "told": ("finding", np.array([int(each.told) for _, each in found], dtype=np.int8)),
        "value": ("finding", np.array([each.value for _, each in found], dtype=float)),
        "error": ("finding", np.array([each.error for _, each in found], dtype=float)),
    }
    about = {"told": "1: the numbers carry it; 0: it cannot be told", "error": "of value, one s.e."}
    dataset = xr.Dataset(variables, {"finding": strings(columns["finding"])})
    for name, words in about.items():
        dataset[name].attrs["long_name"] = words
    dataset.attrs = {
        **run_attributes(facts),
        **ran.attributes,
        "notes": "\n".join(ran.notes),
        **versions(),
    }
    return with_left_out(dataset, left_out)


def with_left_out(dataset: xr.Dataset, more: Sequence[LeftOut]) -> xr.Dataset:
    """The findings, with more of what there is not."""
    rows = [*_left_out(dataset), *more] if "left_out" in dataset.dims else list(more)
    dataset = dataset.drop_dims("left_out", errors="ignore")
    return dataset.assign(
        {
            "left_out_model": ("left_out", strings([each.model for each in rows])),
            "left_out_reason": ("left_out", strings([each.reason for each in rows])),
        }
    ).assign_coords(left_out=strings([each.analysis for each in rows]))


def findings_table(dataset: xr.Dataset) -> pd.DataFrame:
    """A row for each finding: `finding`, `told`, `analysis`, `question`, `figure`, `models`,
    `value`, `error`, `unit`."""
    names = ("told", "analysis", "question", "figure", "models", "value", "error", "unit")
    table = pd.DataFrame({name: dataset[name].values for name in ("finding", *names)})
    return table.astype({"told": bool})


def left_out_table(dataset: xr.Dataset) -> pd.DataFrame:
    """A row for each analysis and model that there is no result of: `analysis`, `model`,
    `reason`."""
    return pd.DataFrame([vars(each) for each in _left_out(dataset)], columns=list(_LEFT_OUT))


def _left_out(dataset: xr.Dataset) -> list[LeftOut]:
    names = ("left_out", "left_out_model", "left_out_reason")
    return [LeftOut(*row) for row in zip(*(dataset[x].values.tolist() for x in names), strict=True)]
