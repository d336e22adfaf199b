"""Results as LaTeX tables (booktabs)."""

from __future__ import annotations

import math
import re

import pandas as pd
import xarray as xr

from vitprobe.report.provenance import heading
from vitprobe.report.tables import best_matches, rows
from vitprobe.report.words import TITLES
from vitprobe.text import printable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}
_ERRORS = ("_se", "_error")
MATCHES = ("model", "layer", "match", "cka", "cka_se", "p_value")


def latex(result: xr.Dataset, caption: str | None = None, label: str | None = None) -> str:
    """See `Accessor.to_latex`."""
    of_cka = result.attrs["analysis"] == "cka"
    table = best_matches(result) if of_cka else rows(result)
    if of_cka:
        table = table[[name for name in MATCHES if name in table]]
    columns = [name for name in table if not _error_of(table, name)]
    numeric = {name: pd.api.types.is_numeric_dtype(table[name]) for name in columns}
    lines = [
        " & ".join(_cell(row, name) for name in columns) + r" \\"
        for row in table.to_dict("records")
    ]
    what = TITLES.get(result.attrs["analysis"], result.attrs["analysis"])
    caption = _text(f"{what}: {heading(result)}") if caption is None else caption
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{caption}}}",
            *([f"  \\label{{{label}}}"] if label else []),
            f"  \\begin{{tabular}}{{{''.join('r' if numeric[x] else 'l' for x in columns)}}}",
            r"    \toprule",
            f"    {' & '.join(_text(name.replace('_', ' ')) for name in columns)} \\\\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
    )


def _error_of(table: pd.DataFrame, name: str) -> bool:
    """Whether a column is the error of another, beside which it stands."""
    return any(name.endswith(end) and name.removesuffix(end) in table for end in _ERRORS)


def _cell(row: dict, name: str) -> str:
    value = row[name]
    if not isinstance(value, float):
        return _text(value)
    if not math.isfinite(value):
        return "--"
    errors = (row.get(f"{name}{end}") for end in _ERRORS)
    error = next((each for each in errors if each is not None), math.nan)
    if not error > 0 or not math.isfinite(error):
        return f"${value:.3g}$"
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"${value:.{places}f} \\pm {error:.{places}f}$"


def _text(value: object) -> str:
    pattern = "|".join(map(re.escape, _SPECIAL))
    return re.sub(pattern, lambda found: _SPECIAL[found[0]], printable(value, None))
