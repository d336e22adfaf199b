"""One comparison of several ways to do one thing, its file and its line in a table."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

Quartiles = list[float]  # lower quartile, median, upper quartile


@dataclass
class Comparison:
    table: str  # the heading of the table it stands in
    name: str  # its line
    unit: str  # of the values
    rounds: int
    values: dict[str, Quartiles]  # each way
    ratio_of: str = ""  # what the ratio is, a column's heading
    ratio: Quartiles | None = None
    target: str = ""


def tables(comparisons: list[Comparison]) -> dict[str, list[list[str]]]:
    """Heading -> rows of cells, the first row the columns' names."""
    found: dict[str, list[list[str]]] = {}
    for one in comparisons:
        ratio_of = [one.ratio_of] if one.ratio_of else []
        header = ["", *one.values, *ratio_of, "target", "rounds"]
        rows = found.setdefault(one.table, [header])
        if rows[0] != header:
            raise ValueError(f"{one.table!r}: {one.name!r} has other columns than the first line")
        cells = [f"{cell(values)} {one.unit}" for values in one.values.values()]
        ratio = [cell(one.ratio)] if one.ratio else []
        rows.append([one.name, *cells, *ratio, one.target, str(one.rounds)])
    return found


def cell(quartiles: Quartiles) -> str:
    """`12.4 (12.1-12.9)`, or `12.4` where that says it all."""
    low, middle, high = map(three_digits, quartiles)
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def three_digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def write(path: Path, machine: dict, comparisons: list[Comparison]) -> None:
    content = {"machine": machine, "comparisons": [asdict(one) for one in comparisons]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def read(path: Path) -> tuple[dict, list[Comparison]]:
    """The machine and the comparisons of a file that `write` wrote."""
    content = json.loads(path.read_text())
    return content["machine"], [Comparison(**one) for one in content["comparisons"]]
