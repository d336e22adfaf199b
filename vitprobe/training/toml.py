"""Settings in TOML files: recipes, `--config`, studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError
from vitprobe.files import open_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST = 1 << 20  # bytes


def toml_text(path: str | Path) -> str:
    """The file as it stands. Raises InputError for no file, no text and more than MOST bytes."""
    with open_file(path, "TOML file", most=MOST) as file:
        try:
            return file.read(MOST + 1).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not TOML: {error}") from error


def read_toml(path: str | Path, text: str | None = None) -> dict[str, Any]:
    """The file's tables and values.

    text: of the file, where it has been read.

    Raises:
        InputError: no such file, not to be read, or not TOML (the parser's line is named).
    """
    try:
        return tomllib.loads(toml_text(path) if text is None else text)
    except RecursionError as error:
        raise InputError(f"{path} is not TOML: it is nested too deeply") from error
    except InputError:
        raise
    except ValueError as error:  # TOMLDecodeError; a number of thousands of digits, no such date
        raise InputError(f"{path} is not TOML: {error}") from error
