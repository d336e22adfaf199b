"""`result.vitprobe`: what a result of vitprobe can show of itself, in a notebook or a script.

Registered with xarray by whatever of vitprobe is used first, so that any Dataset has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from vitprobe.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from vitprobe.report import Page


@xr.register_dataset_accessor("vitprobe")
class Accessor:
    """Of a result: `plot()`, `page()`, `best_matches()`, `to_pandas()`, `to_latex()`.

    As the last value of a notebook cell, `result.vitprobe` is the page of the result.

    Raises:
        InputError: the Dataset is no result of vitprobe.
    """

    def __init__(self, dataset: xr.Dataset):
        if "analysis" not in dataset.attrs:
            raise InputError(
                "this Dataset is no result of vitprobe: it has no attribute 'analysis'"
            )
        self._result = dataset

    def plot(self, **options: Any) -> Figure:
        """The figure of the result; options as of `vitprobe.plot`."""
        from vitprobe.figures import plot

        return plot(self._result, **options)

    def page(self, *, title: str | None = None) -> Page:
        """The page of the result, which shows itself in a notebook: see `vitprobe.page`."""
        from vitprobe.report import page

        return page(self._result, title=title)

    def best_matches(self, *, level: float = 0.95) -> pd.DataFrame:
        """Of a result of `vitprobe.cka` each layer's best match in the other model.

        Returns:
            A row for each layer of both models: `model`, `layer`, `match`, `cka`, `cka_se`, `low`
            and `high` (of the interval), `alike`: how many layers cannot be told from the match,
            itself included; `p_value`, where the result has a null. See `vitprobe.match_layers`.

        Raises:
            InputError: it is no result of CKA, or a level that is none.
        """
        from vitprobe.report.tables import best_matches

        return best_matches(self._result, level)

    def to_pandas(self) -> pd.DataFrame:
        """The result's numbers as one table: a row for each value of its first variable, with
        everything that is known of the row.

        Columns: the dimensions of that variable, then all variables and coordinates that lie along
        some of these. Of `vitprobe.cka`: `layer_a`, `layer_b`, `cka`, `cka_se`, ...
        """
        from vitprobe.report.tables import rows

        return rows(self._result)

    def to_latex(self, *, caption: str | None = None, label: str | None = None) -> str:
        r"""A table for a paper (LaTeX with booktabs): of `vitprobe.cka` the best matches, of others
        the rows of `to_pandas`, numbers as $0.931 \pm 0.003$, one standard error.

        caption: instead of what was done. label: of \label.
        """
        from vitprobe.report.latex import latex

        return latex(self._result, caption, label)

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def __repr__(self) -> str:
        attrs = self._result.attrs
        return f"<vitprobe: a result of {attrs['analysis']}; plot(), page(), to_pandas(), ...>"
