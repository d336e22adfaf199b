"""What `vitprobe probe` prints and the table it writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.probe_reader import ProbeReader
from vitprobe.cli import _told
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import new_console, say, say_blanks, say_model, say_models
from vitprobe.cli._table import Column, print_table
from vitprobe.errors import InputError
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.probe_compare import compare
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_OF_LAYERS = ("type", "block", "block_output", "features", "width", "solved_by", "blank")
_MOST = 24  # layers of a table at the terminal; the CSV has all


def penalties(text: str | None) -> list[float] | None:
    """`"1,10"` -> numbers.

    Raises:
        InputError: it holds something else.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--l2 takes penalties such as 1 or 0.1,1,10, not {text!r}") from error


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row for each layer, or of tokens `each` for each of its tokens; draws in columns."""
    layers = np.arange(result.sizes["layer"])
    tokens = np.zeros_like(layers)
    each = "token" in result.dims
    if each:
        layers = np.repeat(layers, result["tokens"].values)
        tokens = np.concatenate([np.arange(count) for count in result["tokens"].values])
    place = (layers, tokens) if each else (layers,)
    columns = {"layer": result["layer"].values[layers]}
    if each:
        prefix, across = (result[name].values[layers] for name in ("prefix", "columns"))
        patch = tokens - prefix
        known = (across > 0) & (patch >= 0)
        safe = np.maximum(across, 1)
        columns |= {
            "token": tokens,
            "row": pd.array(np.where(known, patch // safe, 0), dtype="Int64"),
            "col": pd.array(np.where(known, patch % safe, 0), dtype="Int64"),
        }
        for name in ("row", "col"):
            columns[name][~known] = pd.NA
    columns |= {name: result[name].values[place] for name in ("accuracy", "accuracy_se", "l2")}
    if "draw" in result.dims:
        of_draws = result["accuracy_of_draw"].values[place]
        columns |= {f"draw_{k}": of_draws[:, k] for k in range(of_draws.shape[1])}
    columns |= {name: result[name].values[layers] for name in _OF_LAYERS}
    return pd.DataFrame(columns).to_csv(index=False).encode()


WRITERS = Writers(
    {".nc": netcdf, ".png": lambda result: png_bytes(plot(result)), ".csv": csv_bytes},
    {".png": lambda results: png_bytes(compare(results)) if len(results) > 1 else None},
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: ProbeReader) -> None:
        for model, read in zip(reader.models, reader.read, strict=True):
            facts = model_facts("model", model.subject)
            facts["model_image_size"] = ", ".join(map(str, model.image_size))
            say_model(console, facts, "model")
            tokens = sum(each.tokens for each in read)
            probes = f", {tokens:,} probes" if tokens > len(read) else ""
            most = max(each.features for each in read)
            say(console, "", f"{len(read)} layers of up to {most:,} features{probes}")
        roles, options = reader.roles, reader.options
        fitted = f"{len(roles.fit):,} to fit on"
        if options.shots:
            each = f"{options.shots} of each class, drawn {options.count_of_draws} times"
            fitted += f" ({each})" if roles.draws else f", of which {each}"
        held = f", {len(roles.held):,} to choose a penalty by" if len(roles.held) else ""
        say(console, "images", f"{fitted}{held}, {len(roles.test):,} to test on")

    def data(self, inputs: Inputs) -> str:
        name, _, rest = _told.data_line(inputs).rpartition(": ")
        train = getattr(inputs.loader.data, "train_name", None)
        return f"{train} train and {name}: {rest}" if train else f"{name}: {rest}"


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, the accuracy of each layer, the model's own, what was written."""
    console = new_console()
    for result in results:
        say_blanks(console, result, "blank", "blank")
    say_models(console, results, paths, _print_layers)


def _print_layers(console: Console, result: xr.Dataset) -> None:
    attrs = result.attrs
    own = attrs.get("own_accuracy")
    known = "" if own is None else f"; its own classifier: {100 * own:.1f} %"
    title = (
        f"probes of {attrs['model']}: accuracy on {int(attrs['examples_test']):,} test images, % "
        f"(chance: {100 * attrs['chance']:.1f} %{known})"
    )
    shown = _shown(result)
    if len(shown) < result.sizes["layer"]:
        title += f"; {len(shown)} of {result.sizes['layer']} layers, all in the CSV"
    result = result.isel(layer=shown)
    columns = [Column("layer", [str(name) for name in result["layer"].values], "name")]
    if "token" in result.dims:
        values = result["accuracy"].values
        for word, of in (("mean", np.nanmean), ("lowest", np.nanmin), ("highest", np.nanmax)):
            cells = [_cell(of(row) if np.isfinite(row).any() else np.nan) for row in values]
            columns.append(Column(f"{word} of tokens", cells))
        columns.append(Column("tokens", [str(count) for count in result["tokens"].values]))
    else:
        columns.append(Column("accuracy", [_cell(x) for x in result["accuracy"].values]))
        columns.append(Column("s.e.", [_cell(x, "") for x in result["accuracy_se"].values]))
    columns.append(Column("features", [f"{count:,}" for count in result["features"].values]))
    columns.append(Column("solved by", [str(how) for how in result["solved_by"].values], "text"))
    print_table(console, title, columns)


def _shown(result: xr.Dataset) -> list[int]:
    """All layers, or where they are many the outputs of blocks, the first and the last."""
    count = result.sizes["layer"]
    if count <= _MOST:
        return list(range(count))
    blocks = np.flatnonzero(result["block_output"].values != "")
    if not len(blocks) or len(blocks) > _MOST:
        return sorted({*np.linspace(0, count - 1, _MOST).round().astype(int).tolist()})
    return sorted({0, *blocks.tolist(), count - 1})


def _cell(value: float, blank: str = "blank") -> str:
    return blank if np.isnan(value) else f"{100 * value:.1f}"
