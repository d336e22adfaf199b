"""`vitprobe recipes`: how `vitprobe train` can optimise and vary images."""

import re
from typing import Annotated

import typer

from vitprobe.cli._completion import recipes
from vitprobe.text import printable

HEAD = """\
# vitprobe train MODE --recipe NAME
# or one of your own: vitprobe recipes NAME > mine.toml, and --recipe mine.toml
"""


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this one only.", show_default=False, autocompletion=recipes),
    ] = None,
) -> None:
    """Print a recipe that vitprobe train --recipe takes, as the TOML file that it is.

    Without NAME all of them, as the tables of one TOML document.

    Example: vitprobe recipes digits > mine.toml
    """
    from vitprobe.training import recipe as held

    if name is not None:
        text = held.find_recipe(name).text
    else:
        text = "\n".join([HEAD, *(_as_table(each.name, each.text) for each in held.recipes())])
    for line in text.removesuffix("\n").split("\n"):  # a file of the user's may hold anything
        typer.echo("\t".join(printable(part, None) for part in line.removesuffix("\r").split("\t")))


def _as_table(name: str, text: str) -> str:
    """A recipe's file as one of several tables: `[augment]` becomes `[NAME.augment]`."""
    return f"[{name}]\n" + re.sub(r"^\[", f"[{name}.", text, flags=re.MULTILINE)
