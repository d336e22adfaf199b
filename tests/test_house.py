"""The house is kept: imports go downwards only, and files stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (  # from the top down
    *("cli", "report", "figures", "analyses", "training", "passes", "metrics"),
    *("taps", "models", "data", "ops"),
    *("writing", "lock", "files", "file_names", "owner", "input_options", "packages"),
    *("errors", "text"),
)
FILES = sorted((ROOT / "vitprobe").rglob("*.py"))


def floor(module: str) -> int | None:
    """The floor of a dotted name such as `vitprobe.taps.survey`; None outside the floors."""
    parts = module.split(".")
    if parts[0] != "vitprobe" or len(parts) < 2 or parts[1] not in FLOORS:
        return None
    return FLOORS.index(parts[1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_downwards(path):
    own = floor(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            other = floor(name)
            assert None in (own, other) or other >= own, f"{path.name} imports {name} from above"


def test_files_stay_small():
    suffixes = {".py", ".cpp", ".cu", ".h", ".cuh"}
    folders = ("vitprobe", "csrc", "tests", "bench")
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and (lines := len(path.read_text().splitlines())) > 350
    }
    assert not long
