"""`vitprobe recipes`: how `vitprobe train` can optimise and vary images."""

import re
import sys
from typing import Annotated

import typer

HEAD = """\
# vitprobe train MODE --recipe NAME
# or one of your own: vitprobe recipes NAME > mine.toml, and --recipe mine.toml
"""


def command(
    name: Annotated[
        str | None, typer.Argument(help="Print this one only.", show_default=False)
    ] = None,
) -> None:
    """Print a recipe that vitprobe train --recipe takes, as the TOML file that it is.

    Without NAME all of them, as the tables of one TOML document.

    Example: vitprobe recipes digits > mine.toml
    """
    from vitprobe.cli._summary import new_console
    from vitprobe.training.recipe import find_recipe, recipes

    if name is not None:
        text = find_recipe(name).text
    else:
        text = "\n".join([HEAD, *(_as_table(recipe.name, recipe.text) for recipe in recipes())])
    if sys.stdout.isatty():
        console = new_console()
        for line in text.splitlines():
            console.print(line)
    else:  # a file gets every character as it is
        typer.echo(text, nl=False)


def _as_table(name: str, text: str) -> str:
    """A recipe's file as one of several tables: `[augment]` becomes `[NAME.augment]`."""
    return f"[{name}]\n" + re.sub(r"^\[", f"[{name}.", text, flags=re.MULTILINE)
