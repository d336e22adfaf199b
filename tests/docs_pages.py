"""The pages of README.md and docs/, read as text: code, commands, links."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Block(NamedTuple):
    """language: what stands behind its fence; `sh` too for indented lines that begin a command."""

    language: str
    code: str


_COMMAND = r"(?:^ {4}(?:[A-Z_]+=\S+ )*vitprobe [a-z][^\n[]*\n)+"
_BLOCK = re.compile(rf"^```(\w*)\n(.*?)^```|({_COMMAND})", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[Block]:
    """In their order."""
    found = _BLOCK.findall(page.read_text())
    return [Block("sh", indented) if indented else Block(*rest) for *rest, indented in found]


def name_of(page: Path) -> str:
    """`README`, `cka`, `api/training`."""
    inside = page.relative_to(ROOT / "docs") if page.is_relative_to(ROOT / "docs") else page.name
    return str(inside).removesuffix(".md")
