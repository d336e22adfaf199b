"""What `vitprobe cka` prints and the table it writes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from rich.console import Console

from vitprobe.cli._summary import counted, new_console, say, say_end, say_model, say_random
from vitprobe.cli._table import Column, print_table

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
            "blank": reasons,
        }
    )
    return table.to_csv(index=False).encode()


def print_summary(results: list[xr.Dataset], paths: list[Path]) -> None:
    """What was compared, each layer's best match, where the seconds went, what was written."""
    console = new_console()
    first = results[0].attrs
    _print_models(console, results)
    passes = f", {first['passes']} passes" if first["passes"] > 1 else ""
    batches = f"{first['batches']} batch{'' if first['batches'] == 1 else 'es'}"
    say(
        console,
        "data",
        f"{first['dataset']} {first['split']}: {first['examples']:,} examples{passes} in {batches} "
        f"of {first['batch_size']}, {first['order']} order; CKA {first['estimator']}, "
        f"{first['kernel']}, tokens {first['tokens']}",
    )
    crossed = [result for result in results if result.attrs["model_a"] != result.attrs["model_b"]]
    for result in crossed or results:
        console.print()
        _print_best_matches(console, result)
    say_end(console, first, paths)
    say_random(console, [(result.attrs, f"model_{side}") for result in results for side in "ab"])


def _print_models(console: Console, results: list[xr.Dataset]) -> None:
    shown = set()
    for result in results:
        for side in "ab":
            facts = result.attrs
            name = facts[f"model_{side}"]
            if name in shown:
                continue
            shown.add(name)
            sites, folded = result.sizes[f"layer_{side}"], result.sizes[f"folded_{side}"]
            say_model(console, facts, f"model_{side}")
            say(
                console,
                "",
                f"{sites} sites" + (f"; {folded} more hand on another's tensor" if folded else ""),
            )
            if result.sizes[f"left_out_{side}"]:
                say(console, "", f"left out: {_reasons(result, side)}")
            if blanks := Counter(filter(None, result[f"blank_{side}"].values.tolist())):
                say(console, "", f"blank: {counted(blanks)}")


def _reasons(result: xr.Dataset, side: str) -> str:
    return counted(Counter(result[f"left_out_reason_{side}"].values.tolist()))


def _print_best_matches(console: Console, result: xr.Dataset) -> None:
    """Each layer of model_a with the layer of model_b that is most similar to it."""
    a, b = result.attrs["model_a"], result.attrs["model_b"]
    values, errors = result["cka"].values.copy(), result["cka_se"].values
    if a == b:  # the best match besides itself
        values[result["layer_a"].values[:, None] == result["layer_b"].values] = np.nan
    rows = range(len(values))
    title = f"each layer of {a} and its best match in {b}"
    if len(values) > _MOST_ROWS:
        rows = _block_outputs(result) or rows
        title += f" ({len(rows)} block outputs of {len(values)} layers; all in the CSV)"
    layers, matches, best, spread, blanks = [], [], [], [], []
    for i in rows:
        layers.append(str(result["layer_a"].values[i]))
        blank = np.isnan(values[i]).all()
        j = 0 if blank else int(np.nanargmax(values[i]))
        matches.append("blank" if blank else str(result["layer_b"].values[j]))
        best.append("" if blank else f"{values[i, j]:.3f}")
        spread.append("" if np.isnan(errors[i, j]) else f"{errors[i, j]:.3f}")
        reason = str(result["blank_a"].values[i]) or "no other layer has a value"
        blanks.append(reason if blank else "")
    columns = [Column("layer", layers, "name"), Column("best match", matches, "name")]
    columns += [Column("CKA", best), Column("s.e.", spread)]
    if any(blanks):
        columns.append(Column("blank because", blanks, "text"))
    print_table(console, title, columns)


def _block_outputs(result: xr.Dataset) -> list[int]:
    """Rows of model_a that are, or hand on, the output of a block or of the model."""
    names = result["layer_a"].values.tolist()
    outputs = {block for block in result["block_a"].values.tolist() if block} | {"output"}
    folded = zip(result["folded_a"].values, result["folded_into_a"].values, strict=True)
    outputs |= {str(into) for name, into in folded if name in outputs}
    return [row for row, name in enumerate(names) if name in outputs]
