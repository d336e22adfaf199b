"""What `vitprobe data-size` and `vitprobe model-size` do alike: run, print, write."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.compare_training import asked_study
from vitprobe.analyses.study_run import checked, size_facts
from vitprobe.cli import _study_options as study_options
from vitprobe.cli._output import ResultFiles, Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say
from vitprobe.cli._table import Column, print_table
from vitprobe.cli._warned import plain_warnings, require_kernels
from vitprobe.figures import plot, png_bytes
from vitprobe.input_options import InputOptions
from vitprobe.passes.processes import writes
from vitprobe.training.study_runs import percent

_TRAINED = ("accuracy", "val_accuracy", "best_epoch", "epochs", "seconds", "checkpoint", "reason")


def run_study(
    study_of: Callable[..., xr.Dataset],
    kind: str,
    study: str,
    asked: Mapping[str, Any],
    inputs: InputOptions,
    output: str,
    results: str,
    **how: Any,
) -> None:
    """Train what is missing, look at the models, write and print.

    study_of: `data_size` or `model_size`; kind: the command. how: see `ResultFiles`.
    """
    files = ResultFiles(results, WRITERS, **how, option="results")
    read = checked(asked_study(study, kind, **asked), kind)
    words = study_options.words(study, asked, kind, inputs.examples)
    facts = size_facts(read, kind.replace("-", "_"), inputs)
    files.settle([facts], words)
    inputs = replace(inputs, device=asked["device"] or "auto")
    told = {key: value for key, value in asked.items() if key != "device"}
    shown = {key: getattr(inputs, key) for key in ("examples", "batch_size", "workers", "device")}
    with study_options.going_on(output), plain_warnings():
        require_kernels(inputs.device)
        result = study_of(
            study,
            **told,
            **shown,
            output=output,
            progress=sys.stdout.isatty(),
            report=study_options.report,
        )
    if writes():  # under torchrun the first process does
        print_summary(result, files.save([result]))


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a run: what it was, its accuracy and where it is."""
    columns, size = _places(result, ())
    columns |= {name: result[name].values.ravel() for name in _TRAINED}
    if "fraction" not in result.dims:
        each = size // result.sizes["model"]
        for name in ("family", "largest", "parameters"):
            columns[name] = np.repeat(result[name].values, each)
    return pd.DataFrame(columns).to_csv(index=False).encode()


def cka_csv_bytes(result: xr.Dataset) -> bytes:
    """One row a run and layer."""
    names = ("cka", "cka_se", "cka_blank", "cka_other_seeds", "cka_other_seeds_blank")
    return _table(result, "layer", ("layer_name", "matched_layer", "layer_depth"), names)


def distance_csv_bytes(result: xr.Dataset) -> bytes:
    """One row a run and attention layer."""
    names = ("distance", "distance_blank")
    return _table(result, "attention_layer", ("attention_layer_name",), names)


def skips_csv_bytes(result: xr.Dataset) -> bytes:
    """One row a run and skip: a column of ratios for each group of tokens."""
    split = result.assign(
        {
            f"ratio_{group}": result["skip_ratio"].sel(group=group, drop=True)
            for group in result["group"].values
        }
    )
    names = (*(f"ratio_{group}" for group in result["group"].values), "skip_blank")
    return _table(split, "skip_layer", ("skip_layer_name", "skip_kind"), names)


def _table(result: xr.Dataset, dim: str, of_layers: tuple, names: tuple) -> bytes:
    """Rows without a layer (of a model that has fewer) are left out, of a model with none kept."""
    columns, _ = _places(result, (dim,))
    shape = result[names[0]].shape
    for name in of_layers:
        values = result[name].values
        between = (1,) * (len(shape) - 2)
        spread = values.reshape(values.shape[0], *between, values.shape[1])
        columns[name] = np.broadcast_to(spread, shape).ravel()
    columns |= {name: result[name].values.ravel() for name in names}
    table = pd.DataFrame(columns)
    there = (table[of_layers[0]] != "") | (table[dim] == 0)
    return table[there].to_csv(index=False).encode()


def _places(result: xr.Dataset, more: tuple[str, ...]) -> tuple[dict[str, np.ndarray], int]:
    """Columns that say where a value is, in the order of `ravel`; how many rows."""
    dims = (*result["accuracy"].dims, *more)
    coordinates = [np.arange(result.sizes[dim]) if dim in more else result[dim].values
                   for dim in dims]  # fmt: skip
    grids = np.meshgrid(*coordinates, indexing="ij")
    return {dim: grid.ravel() for dim, grid in zip(dims, grids, strict=True)}, grids[0].size


WRITERS = Writers(
    {
        ".nc": netcdf,
        ".csv": csv_bytes,
        "-cka.csv": cka_csv_bytes,
        "-distance.csv": distance_csv_bytes,
        "-skips.csv": skips_csv_bytes,
        ".png": lambda result: png_bytes(plot(result)),
    }
)


def print_summary(result: xr.Dataset, paths: list[Path]) -> None:
    """The study, a row for each model and fraction, what has no value, files."""
    console, attrs = new_console(), result.attrs
    say(console, "study", f"{attrs['study']}: {attrs['title']}")
    classes = int(attrs["num_classes"])
    chance = f"; chance is {100 / classes:.1f} %" if classes else ""
    test = attrs["test_dataset"]
    test = "" if test == attrs["dataset"] else f", tested on {test}"
    seen = f"; models looked at with {attrs['examples']:,} images" if "examples" in attrs else ""
    say(console, "data", f"{attrs['dataset']}{test}{chance}{seen}")
    for what, name in (
        ("runs", "reason"),
        ("attention", "distance_blank"),
        ("skips", "skip_blank"),
        ("CKA", "cka_blank"),
    ):
        _say_blanks(console, result, what, name)
    console.print()
    _print_rows(console, result)
    console.print()
    if "seconds_looking" in attrs:
        trained, looking = float(result["seconds"].sum()), attrs["seconds_looking"]
        say(
            console, "seconds", f"{trained:.1f} of training, {looking:.1f} of looking at the models"
        )
    for path in paths:
        say(console, "wrote", str(path))


def _say_blanks(console: Console, result: xr.Dataset, what: str, name: str) -> None:
    """Of each model why there are none: once for each run that lacks all of them."""
    for model, of_model in zip(result["model"].values, result[name].values, strict=True):
        runs = of_model.reshape(-1, of_model.shape[-1]) if name != "reason" else of_model.ravel()
        first = [row if isinstance(row, str) else row[0] for row in runs]
        whole = [one for one in first if one]
        if name != "reason":  # what a run has not is said of it once
            told = set(result["reason"].sel(model=model).values.ravel().tolist())
            whole = [one for one in whole if one not in told]
        if whole:
            say(console, "blank", f"{what} of {model}: {counted(Counter(whole))}")


def _print_rows(console: Console, result: xr.Dataset) -> None:
    """Accuracy; CKA of the middle block and the last one with what they are compared with."""
    by_fraction = "fraction" in result.dims
    whole = "the model of all data" if by_fraction else "the largest model of the family"
    title = (
        f"mean (lowest to highest seed): test accuracy in %; CKA with {whole}: of the first block, "
        "the middle one, the last, and the output. Of that model itself: with other seeds of it"
    )
    rows = []
    for m, model in enumerate(result["model"].values):
        own = result.isel(model=m)
        variants = range(result.sizes["fraction"]) if by_fraction else [None]
        for variant in variants:
            of = own if variant is None else own.isel(fraction=variant)
            rows.append((str(model), of, _is_whole(result, m, variant)))
    columns = [Column("model", [model for model, _, _ in rows], "name")]
    if by_fraction:
        texts = [percent(float(of["fraction"])) for _, of, _ in rows]
        columns.append(Column("data", texts))
    else:
        counts = [f"{int(of['parameters']):,}" for _, of, _ in rows]
        columns.append(Column("parameters", counts))
    columns.append(Column("accuracy", [_range(of["accuracy"].values, 100, 1) for _, of, _ in rows]))
    for heading, share in (("first", 0.0), ("middle", 0.5), ("last", 1.0), ("output", None)):
        cells = []
        for _, of, is_whole in rows:
            place = _place(of, share)
            values = of["cka_other_seeds" if is_whole else "cka"].values
            cells.append("blank" if place is None else _range(values[..., place], 1, 2))
        columns.append(Column(heading, cells))
    print_table(console, title, columns)


def _is_whole(result: xr.Dataset, model: int, variant: int | None) -> bool:
    if variant is not None:
        return float(result["fraction"][variant]) == float(result["fraction"].max())
    return str(result["largest"].values[model]) == str(result["model"].values[model])


def _place(of: xr.Dataset, share: float | None) -> int | None:
    """The layer at that relative depth; None: the output."""
    names, depths = of["layer_name"].values, of["layer_depth"].values
    there = [k for k, name in enumerate(names) if name]
    if share is None:
        found = [k for k in there if np.isnan(depths[k])]
        return found[-1] if found else None
    blocks = [k for k in there if not np.isnan(depths[k])]
    return min(blocks, key=lambda k: abs(depths[k] - share)) if blocks else None


def _range(values: np.ndarray, scale: float, digits: int) -> str:
    known = values[np.isfinite(values)] * scale
    if not len(known):
        return "blank"
    text = f"{known.mean():.{digits}f}"
    if len(known) > 1:
        text += f" ({known.min():.{digits}f} to {known.max():.{digits}f})"
    return text
