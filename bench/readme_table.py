"""The README's tables of speed, from the files in bench/results, one for each machine.

    python bench/readme_table.py           write them between the README's markers
    python bench/readme_table.py --check   exit 1 where the README says something else

`pytest --benchmark --benchmark-results=bench/results/cpu.json` makes such a file; on a GPU,
`python bench/gpu.py`. No file, no table.
"""

import argparse
import json
import sys
from pathlib import Path

from comparison import read, tables
from gpu_tables import gpu_line, gpu_tables
from machine import machine_line

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def markdown(file: Path) -> str:
    """The tables of one machine: no line of them is from anywhere but the file."""
    content = json.loads(file.read_text())
    if "sections" in content:
        line, spread, found = (
            gpu_line(content),
            "10th to 90th percentile; end to end, the range",
            gpu_tables(content),
        )
    else:
        machine, comparisons = read(file)
        line, spread, found = machine_line(machine), "quartiles", tables(comparisons)
    parts = [f"Measured on {line}: medians of all rounds taken in turns ({spread})."]
    for title, (header, *rows) in found.items():
        lines = [[title, *header[1:]], ["---"] * len(header), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def with_tables(readme: str, files: list[Path]) -> str | None:
    """The README with what stands between its markers replaced; None where it has no markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return None
    body = "".join(f"\n{markdown(file)}\n" for file in files)
    return f"{before}{BEGIN}\n{body}{chr(10) if body else ''}{END}{after}"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args(words)
    files = sorted(options.results.glob("*.json"))
    old = options.readme.read_text()
    new = with_tables(old, files)
    if new is None:
        print(f"{options.readme} has no {BEGIN} ... {END}: nothing written")
        return 1
    if not files:
        print(f"no measurements in {options.results}: no table")
    if new == old:
        print(f"{options.readme} says what the measurements say")
        return 0
    if options.check:
        print(f"{options.readme} differs from {options.results}: run python bench/readme_table.py")
        return 1
    options.readme.write_text(new)
    print(f"{options.readme}: tables of {', '.join(file.name for file in files) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
