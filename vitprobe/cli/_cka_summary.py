"""What `vitprobe cka` prints and the table it writes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.matching import match_layers
from vitprobe.cli import _told
from vitprobe.cli._measures_shown import measure_columns, measures_png, print_measures
from vitprobe.cli._null_summary import null_columns, say_chance
from vitprobe.cli._output import Writers, netcdf
from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import model_facts

_MOST_ROWS = 40  # of best matches; above that only block outputs are printed, the CSV has all


def csv_bytes(result: xr.Dataset) -> bytes:
    """One row a pair of layers; the column `blank` says why there is no value."""
    count_a, count_b = result.sizes["layer_a"], result.sizes["layer_b"]
    blank_a, blank_b = (result[f"blank_{side}"].values for side in "ab")
    reasons = [a or b for a in blank_a for b in blank_b]
    table = pd.DataFrame(
        {
            "layer_a": np.repeat(result["layer_a"].values, count_b),
            "layer_b": np.tile(result["layer_b"].values, count_a),
            **{name: result[name].values.ravel() for name in ("cka", "cka_se", "hsic")},
            **null_columns(result),
            **measure_columns(result),
            "blank": reasons,
        }
    )
    return table.to_csv(index=False).encode()


def pairs_png(results: Sequence[xr.Dataset]) -> bytes | None:
    """The figure of all pairs, where there are several."""
    return png_bytes(plot(*results)) if len(results) > 1 else None


WRITERS = Writers(
    {
        ".nc": netcdf,
        ".png": lambda result: png_bytes(plot(result)),
        "-measures.png": measures_png,
        ".csv": csv_bytes,
    },
    {"-pairs.png": pairs_png},
)


class Told(_told.Told):
    """Prints models, layers and data before the first batch."""

    def describe(self, console: Console, inputs: Inputs, reader: CKAReader) -> None:
        said, self.reader = None, reader
        for subject, selection in reader.selected:
            if subject.label != said:  # a model may be looked at in several ways
                say_model(console, model_facts("model", subject), "model")
            said = subject.label
            sites, folded = len(selection.sites), len(selection.folded)
            more = f"; {folded} more hand on another's tensor" if folded else ""
            say(console, "", f"{sites} site{'' if sites == 1 else 's'}{more}")
            if selection.left_out:
                say(console, "", f"left out: {counted(Counter(selection.left_out.values()))}")
        labels = {}  # tokens -> models
        for subject, selection in reader.selected:
            labels.setdefault(selection.tokens, []).append(subject.label)
        one = len(labels) == 1
        self.tokens = [
            tokens if one else f"{tokens} ({', '.join(dict.fromkeys(of))})"
            for tokens, of in labels.items()
        ]

    def data(self, inputs: Inputs) -> str:
        tokens = ", ".join(self.tokens)
        how = f"CKA {self.reader.estimator}, {self.reader.kernel}, tokens {tokens}"
        return f"{super().data(inputs)}; {how}"


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What has no value, each layer's best match, where the seconds went, what was written."""
    console = new_console()
    first = results[0].attrs
    _print_blanks(console, results)
    crossed = [result for result in results if result.attrs["model_a"] != result.attrs["model_b"]]
    for result in crossed or results:
        console.print()
        _print_best_matches(console, result)
        print_measures(console, result)
    if any("null_line" in result for result in results):
        console.print()
        say_chance(console, results)
    say_end(console, first, paths)
    say_random(console, [(result.attrs, f"model_{side}") for result in results for side in "ab"])


def _print_blanks(console: Console, results: list[xr.Dataset]) -> None:
    reasons = {}
    for result in results:
        for side in "ab":
            blanks = Counter(filter(None, result[f"blank_{side}"].values.tolist()))
            reasons.setdefault(result.attrs[f"model_{side}"], blanks)
    for model, blanks in reasons.items():
        if blanks:
            say(console, "blank", f"{model}: {counted(blanks)}")


def _print_best_matches(console: Console, result: xr.Dataset) -> None:
    """Each layer of model_a with the layer of model_b most like it; of itself, another layer."""
    a, b = result.attrs["model_a"], result.attrs["model_b"]
    found = match_layers(result)
    rows = range(found.sizes["layer_a"])
    title = f"each layer of {a} and its best match in {b}"
    if len(rows) > _MOST_ROWS and (outputs := _block_outputs(result)):
        rows = outputs
        title += f" ({len(rows)} block outputs of {found.sizes['layer_a']} layers; all in the CSV)"
    layers, matches, best, spread, alike, blanks = [], [], [], [], [], []
    for i in rows:
        one = found.isel(layer_a=i)
        value, low, high = (float(one[name]) for name in ("cka_a", "low_a", "high_a"))
        blank, others = np.isnan(value), int(one["alike_a"].sum()) - 1
        layers.append(str(one["layer_a"].values))
        matches.append("blank" if blank else str(one["match_a"].values))
        best.append("" if blank else f"{value:.3f}")
        spread.append("" if np.isnan(low) else f"{low:.3f} to {high:.3f}")
        alike.append("" if np.isnan(low) else str(others))
        reason = str(result["blank_a"].values[i]) or "no other layer has a value"
        blanks.append(reason if blank else "")
    columns = [Column("layer", layers, "name"), Column("best match", matches, "name")]
    columns += [Column("CKA", best), Column("95 % interval", spread), Column("as near", alike)]
    if any(blanks):
        columns.append(Column("blank because", blanks, "text"))
    print_table(console, title, columns)
    if any(alike):
        console.print("as near: other layers whose intervals overlap that of the best match")


def _block_outputs(result: xr.Dataset) -> list[int]:
    """Rows of model_a that are, or hand on, the output of a block or of the model."""
    names = result["layer_a"].values.tolist()
    outputs = {block for block in result["block_a"].values.tolist() if block} | {"output"}
    folded = zip(result["folded_a"].values, result["folded_into_a"].values, strict=True)
    outputs |= {str(into) for name, into in folded if name in outputs}
    return [row for row, name in enumerate(names) if name in outputs]
