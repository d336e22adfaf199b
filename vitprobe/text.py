"""Text that came out of a file, made fit to be shown: no control character reaches a terminal."""

from __future__ import annotations

import textwrap
import unicodedata

# Categories of characters that do something instead of being seen: controls, formats (bidirectional
# overrides among them), surrogates, private use, line and paragraph separators.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
LONGEST = 300  # characters
SHORT = 100  # characters of a value within a sentence
LINE = 1800  # characters of a whole error or note


def printable(text: object, longest: int | None = LONGEST) -> str:
    """The text on one line, with control characters escaped (`\\x1b`, `\\n`, `\\u202e`).

    For whatever a file holds or is called: names of members, classes, weights, folders. What is
    longer than `longest` characters loses its middle; None: nothing.
    """
    try:
        text = str(text)
    except (ValueError, RecursionError):  # a number of thousands of digits; very deep
        text = f"a very large {type(text).__name__}"
    if longest is not None and len(text) > longest:  # before each character is looked at
        text = _without_middle(text, longest)
    escaped = "".join(map(_escaped, text))
    return escaped if longest is None else _without_middle(escaped, longest)


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """Lines of at most `width` characters, broken at spaces alone: no number or name is cut.

    indent: spaces before every line but the first; fewer where there is little room.
    """
    lines = textwrap.wrap(
        text,
        max(width, 1),
        subsequent_indent=" " * min(indent, width // 4),
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _without_middle(text: str, longest: int) -> str:
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[len(text) - half :]}"


def shown(value: object) -> str:
    """A value as Python writes it, on one short line: for errors that name what a file holds."""
    try:
        return printable(repr(value), SHORT)
    except (ValueError, RecursionError, MemoryError):  # a number of very many digits; very deep
        return f"a very large {type(value).__name__}"


def _escaped(char: str) -> str:
    if unicodedata.category(char) in UNSEEN:
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char
