"""From a labelled result to the figure of its analysis."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError, did_you_mean


def plot(dataset: xarray.Dataset, **choices: Any) -> Figure:
    """Draw a result of vitprobe: the figure of `dataset.attrs["analysis"]`.

    An analysis called NAME is drawn by `figure(dataset)` of `vitprobe/figures/NAME.py`.

    Args:
        dataset: a result of vitprobe, in memory or opened from its netCDF file.

    Returns:
        A figure with an Agg canvas, unknown to pyplot: it opens no window, needs no closing, shows
        itself as the last value of a notebook cell, and is saved with `save_png` or `savefig`.

    Raises:
        InputError: `dataset` is not a result of vitprobe, or its analysis has no figure.
    """
    if not isinstance(dataset, xarray.Dataset) or "analysis" not in dataset.attrs:
        raise InputError(
            f"cannot plot this {type(dataset).__name__}: it is not a result of vitprobe (an "
            "xarray.Dataset with the attribute 'analysis'); pass what the analysis returned"
        )
    analysis = str(dataset.attrs["analysis"])
    module = _modules().get(analysis)
    if module is None:
        known = sorted(_modules())
        raise InputError(
            f"no figure for the analysis {analysis!r}; there are figures for: "
            f"{', '.join(known)}{did_you_mean(analysis, known)}"
        )
    return module.figure(dataset, **choices)


def _modules() -> dict[str, ModuleType]:
    """The files of this folder that draw an analysis: those that define `figure`."""
    package = importlib.import_module("vitprobe.figures")
    modules = {
        info.name: importlib.import_module(f"vitprobe.figures.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    }
    return {name: module for name, module in modules.items() if hasattr(module, "figure")}
