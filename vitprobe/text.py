"""Text that came out of a file, made fit to be shown: no control character reaches a terminal."""

from __future__ import annotations

import unicodedata

# Categories of characters that do something instead of being seen: controls, formats (bidirectional
# overrides among them), surrogates, private use, line and paragraph separators.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
LONGEST = 300  # characters


def printable(text: object, longest: int | None = LONGEST) -> str:
    """The text on one line, with control characters escaped (`\\x1b`, `\\n`, `\\u202e`).

    For whatever a file holds or is called: names of members, classes, weights, folders. What is
    longer than `longest` characters loses its middle; None: nothing.
    """
    shown = "".join(map(_escaped, str(text)))
    if longest is None or len(shown) <= longest:
        return shown
    half = (longest - 3) // 2
    return f"{shown[:half]}...{shown[len(shown) - half :]}"


def _escaped(char: str) -> str:
    if unicodedata.category(char) in UNSEEN:
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char
