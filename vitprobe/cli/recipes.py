"""`vitprobe recipes`: how `vitprobe train` can optimise and vary images."""

from typing import Annotated

import typer


def command(
    name: Annotated[
        str | None, typer.Argument(help="Show this one only.", show_default=False)
    ] = None,
) -> None:
    """Print the recipes that vitprobe train --recipe takes, as the TOML files that they are."""
    from vitprobe.cli._summary import new_console, say
    from vitprobe.training.recipe import find_recipe, recipes

    console = new_console()
    for recipe in recipes() if name is None else [find_recipe(name)]:
        console.print(recipe.name, style="bold")
        for line in recipe.text.split("\n"):
            console.print(line)
    if name is None:
        say(console, "use", "vitprobe train MODE --recipe NAME, or a .toml file of your own")
