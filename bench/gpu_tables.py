"""A file of `bench/gpu.py` as tables: only what was measured, and what failed by its name."""

from comparison import cell, three_digits
from on_gpu.names import gram_label

Table = list[list[str]]


def gpu_line(values: dict) -> str:
    """The machine, the source and the checks in one line."""
    machine, changed = values["machine"], values.get("changed_files")
    parts = [
        machine.get("device", "unknown GPU"),
        f"driver {machine.get('driver') or 'unknown'}",
        f"torch {machine.get('torch', 'unknown')}",
        f"commit {values['commit'][:7]}" + (" with changes" if changed else ""),
        values["date"].partition("T")[0],
    ]
    steps = values["checks"] | values["sections"]
    bad = [name for name, step in steps.items() if step.get("ok") is not True]
    return ", ".join(parts) + (f"; not passed or not done: {', '.join(bad)}" if bad else "")


def gpu_tables(values: dict) -> dict[str, Table]:
    """Heading -> rows of cells, the first row the columns' names."""
    if values["dry_run"]:
        raise ValueError("a dry run measures nothing")
    rows = {name: section.get("rows", []) for name, section in values["sections"].items()}
    found = {
        "centered_gram, microseconds": ways((gram_label(row), row) for row in rows.get("gram", [])),
        "hsic_accumulate_, microseconds": ways(
            (f"{row['la']} x {row['lb']} layers, n = {row['n']}", row)
            for row in rows.get("hsic", [])
        ),
        "many small sites, microseconds": ways(
            (f"{row['dtype']}, {row['sites']} sites, n = {row['n']}", row)
            for row in rows.get("sites", [])
        ),
        "attention_statistics, microseconds": ways(
            (
                f"{row['dtype']}, {row['images']} x {row['heads']} heads, T = {row['tokens']:,}, "
                f"D = {row['depth']}",
                row,
            )
            for row in rows.get("attention", [])
        ),
        "vitprobe.attention end to end": whole(rows.get("attention_end_to_end", [])),
        "End to end": whole(rows.get("end_to_end", [])),
        "A training step, ms": training(rows.get("training", [])),
        "Targets": [
            ["", "kernel", "measured", "target"],
            *(
                [row["what"], row["kernel"], three_digits(row["measured"]), row["target"]]
                for row in values["targets"]
                if row["measured"] is not None
            ),
        ],
    }
    return {title: table for title, table in found.items() if len(table) > 1}


def whole(rows) -> Table:
    """Seconds of a batch, a line for each way."""
    return [["", "seconds for a batch"], *([row["way"], seconds(row)] for row in rows)]


def training(rows) -> Table:
    """A line for each model: bare loop, vitprobe's, and the ratio of the same turn."""
    names = ("bare_ms", "vitprobe_ms", "ratio")
    measured = [row for row in rows if "ratio" in row]
    lines = ([row["case"], *(cell(row[name]) for name in names)] for row in measured)
    return [["", "bare", "vitprobe", "vitprobe / bare"], *lines]


def ways(rows) -> Table:
    """A line for each (label, row), a column for each way that any row has."""
    rows = list(rows)
    names = list(dict.fromkeys(name for _, row in rows for name in row["ways"]))
    lines = (
        [label, *(microseconds(row["ways"].get(name)) for name in names)] for label, row in rows
    )
    return [["", *names], *lines]


def microseconds(way: dict | None) -> str:
    if way is None:
        return "-"
    return cell([way["us_low"], way["us"], way["us_high"]]) if "us" in way else "failed"


def seconds(row: dict) -> str:
    if "seconds_per_batch" not in row:
        return "failed"
    return cell([row["low"], row["seconds_per_batch"], row["high"]])
