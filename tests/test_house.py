"""The house is kept: imports go downwards and never in a circle, and files stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (  # from the top down
    *("cli", "accessor", "report", "figures", "analyses", "training", "passes", "metrics"),
    *("probes", "measures", "taps", "models", "data", "ops"),
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


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def imported(path: Path) -> set[tuple[str, str]]:
    """Whatever a file imports, wherever in it: of `from a.b import c` (a.b, a.b.c)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {(node.module, f"{node.module}.{alias.name}") for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_downwards(path):
    own = floor(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for names in imported(path):
        for name in names:
            other = floor(name)
            assert None in (own, other) or other >= own, f"{path.name} imports {name} from above"


def circle(needs: dict[str, set[str]]) -> list[str]:
    """Names that need each other, the first one again at the end; [] where there are none."""
    while True:
        free = {name for name, others in needs.items() if not others & needs.keys()}
        if not free:
            break
        needs = {name: others for name, others in needs.items() if name not in free}
    found = [min(needs)] if needs else []
    while found and found[-1] not in found[:-1]:
        found.append(min(needs[found[-1]] & needs.keys()))
    return found[found.index(found[-1]) :] if found else []


def test_no_imports_in_a_circle():
    """Neither at the top of a file, nor in a function, nor for a type."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a", "c"}}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c", "b"]
    needs = {
        name: {inner if inner in MODULES else outer for outer, inner in imported(path)} - {name}
        for name, path in MODULES.items()
    }
    assert needs["vitprobe.models.source"] >= {"vitprobe.models.checkpoints", "vitprobe.data"}
    assert circle(needs) == []


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
