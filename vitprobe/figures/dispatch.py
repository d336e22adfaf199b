"""From labelled results to the figure of their analysis."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType

import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.figures.chosen import Layers, with_layers
from vitprobe.figures.legible import legible
from vitprobe.figures.relabelled import relabelled


def plot(
    result: xarray.Dataset,
    *others: xarray.Dataset,
    difference: bool = False,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    layers: Layers | None = None,
    normalize: str | None = None,
    measure: Sequence[str] | None = None,
) -> Figure:
    """Draw results of vitprobe: the figure of `result.attrs["analysis"]`.

    An analysis called NAME is drawn by files of `vitprobe/figures`: one result by `figure(result)`
    of `NAME.py`, several by `compare(results)` of `NAME_compare.py`, the difference of two by
    `difference(first, second)` of `NAME_difference.py`, where there are such files. They take
    `title` and, where it means something, `normalize` by keyword.

    Args:
        result: a result of vitprobe, in memory or opened from its netCDF file.
        others: more results of the same analysis, for one figure of all: of `cka` every pair of
            models in a grid, of `attention` the models beside each other.
        difference: draw the first of two results minus the second, layers matched by their names.
        title: stands above the figure instead of what was done.
        labels: names for the models, in the order in which they appear.
        layers: `all`, `blocks`, a name, a glob, a type (where the result has types), or a list of
            them; of `cka` also two such lists, for rows and columns.
        normalize: of `attention`, what distances are divided by.
        measure: of `cka` with several measures, those whose maps are drawn beside each other.

    Returns:
        A figure with an Agg canvas, unknown to pyplot: it opens no window, needs no closing, shows
        itself as the last value of a notebook cell, and is saved with `savefig`.

    Raises:
        InputError: what is given is no result of vitprobe, its analysis has no such figure, or an
            option does not fit it.
    """
    results = [result, *others]
    draw = _drawer(results, difference)
    if measure is not None and draw is _modules()["cka"].figure:
        draw = _modules()["measures"].figure
    options = {"title": title, "normalize": normalize, "measure": measure}
    options = {name: value for name, value in options.items() if value is not None}
    for name in options:
        if name not in inspect.signature(draw).parameters:
            analysis = results[0].attrs["analysis"]
            raise InputError(f"this figure of {analysis} has no {option(name)}: leave it out")
    try:
        results = [legible(each) for each in results]
        if labels is not None:
            results = relabelled(results, labels)
        if layers is not None:
            results = with_layers(results, layers)
        if difference:
            return draw(*results, **options)
        return draw(results, **options) if others else draw(results[0], **options)
    except InputError:
        raise
    except KeyError as error:  # a variable, as xarray names it
        why = str(error.args[0]).partition(". ")[0]
        raise InputError(f"cannot plot this result: {why}; compute it again") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # files hold what others wrote: numbers of a wrong kind, shape or size
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"cannot plot this result: it is not as vitprobe writes one ({why}); compute it again"
        ) from error


def _drawer(results: Sequence[xarray.Dataset], difference: bool) -> Callable[..., Figure]:
    """The function that draws so many results of their analysis."""
    for each in results:
        if not isinstance(each, xarray.Dataset) or "analysis" not in each.attrs:
            raise InputError(
                f"cannot plot this {type(each).__name__}: it is not a result of vitprobe (an "
                "xarray.Dataset with the attribute 'analysis'); pass what the analysis returned"
            )
    analyses = list(dict.fromkeys(str(each.attrs["analysis"]) for each in results))
    modules = _modules()
    for analysis in analyses:
        if analysis not in modules:
            known = sorted(modules)
            raise InputError(
                f"no figure for the analysis {analysis!r}; there are figures for: "
                f"{', '.join(known)}{did_you_mean(analysis, known)}"
            )
    if len(analyses) > 1:
        raise InputError(f"results of {' and '.join(analyses)} have no figure in common")
    if difference and len(results) != 2:
        raise InputError(f"{option('difference', True)} takes two results, not {len(results)}")
    kind = "difference" if difference else "compare" if len(results) > 1 else "figure"
    if kind == "figure":
        return modules[analyses[0]].figure
    drawers = _modules(kind)
    name = f"{analyses[0]}_{kind}"
    if name not in drawers:
        able = ", ".join(sorted(each.removesuffix(f"_{kind}") for each in drawers))
        what = "figure of a difference" if difference else "figure of several results"
        raise InputError(f"{analyses[0]} has no {what} ({able} have): plot them one by one")
    return getattr(drawers[name], kind)


def _modules(function: str = "figure") -> dict[str, ModuleType]:
    """The files of this folder that define this function."""
    package = importlib.import_module("vitprobe.figures")
    modules = {
        info.name: importlib.import_module(f"vitprobe.figures.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    }
    return {name: module for name, module in modules.items() if hasattr(module, function)}
