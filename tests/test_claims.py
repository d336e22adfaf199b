"""docs/claims.md: each of its rows is a sentence of the README and names what is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "claims.md").read_text()
README = (ROOT / "README.md").read_text()
ROWS = re.findall(r"^\| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
CLAIMS = [claim for claim, _ in ROWS if claim not in ("claim", "---")]


def plain(text: str) -> str:
    """Its words in one line, without the targets of links."""
    return " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).split())


def statements() -> list[str]:
    """The README's sentences, cells, captions, and comments beside commands."""
    text = re.sub(r"<!-- bench:begin.*bench:end -->|```.*?```", "", README, flags=re.DOTALL)
    found = re.findall(r"^    .*\s#\s+(.*)$", text, re.MULTILINE)
    found += re.findall(r'alt="([^"]*)"', text)
    text = re.sub(r"^(?:    |#|\|.*\n\| ---).*$|<img[^>]*>", "", text, flags=re.MULTILINE)
    for part in re.split(r"\n\s*\n|\n(?=- |\| )", text):
        part = plain(re.sub(r"^> ?", "", part, flags=re.MULTILINE))
        found += re.split(r"(?<=[.:;])\s+(?=[A-Z`*])", part) if part[:1] != "|" else [part]
    return [each for each in found if each]


@cache
def names_in(path: str) -> set[str]:
    """Names of the test functions in a file."""
    return {
        node.name
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_readme_says_it(claim):
    assert plain(claim) in plain(re.sub(r"^> ?", "", README, flags=re.MULTILINE))


@pytest.mark.parametrize("claim, behind", [row for row in ROWS if row[0] in CLAIMS])
def test_what_is_behind_it_is_there(claim, behind):
    """FILE::test below tests/ or in bench/ (::test: of the last file), docs/*.png, .ci/*."""
    names = re.findall(r"`([^`]+)`", behind)
    assert names and not re.sub(r"`[^`]+`", "", behind).strip(", ")
    file = ""
    for name in names:
        path, node, test = name.partition("::")
        if node:
            file = path and (path if path.startswith("bench/") else f"tests/{path}") or file
            assert test in names_in(file), name
        else:
            assert re.fullmatch(r"docs/[\w-]+\.png|\.ci/\w+", name), name
            assert (ROOT / name).is_file(), name


def test_every_sentence_has_a_row():
    claims = [plain(claim) for claim in CLAIMS]
    without = [
        said for said in statements() if not any(one in said or said in one for one in claims)
    ]
    assert not without, "give them a row in docs/claims.md:\n" + "\n".join(without)


def test_every_number_is_in_a_claim():
    """Of the prose: what a sentence counts or measures is not left out of what is quoted of it."""
    rest = " ".join(statements())
    for claim in sorted(map(plain, CLAIMS), key=len, reverse=True):
        rest = rest.replace(claim, " ")
    assert not re.findall(r".{,40}\d.*", re.sub(r"`[^`]*`", "", rest))
