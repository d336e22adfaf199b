"""The command `vitprobe`: every file here without a leading underscore is a sub-command."""

import pkgutil
import sys
from importlib import import_module

import typer

import vitprobe
from vitprobe.errors import InputError, did_you_mean

app = typer.Typer(
    help="How a vision model sees, layer by layer, and how two of them differ.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
_COMMANDS = sorted(
    info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")
)
for _name in _COMMANDS:
    app.command(_name)(import_module(f"{__name__}.{_name}").command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vitprobe {vitprobe.__version__}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command; wrong input ends in one line on stderr and exit code 2."""
    first = sys.argv[1] if len(sys.argv) > 1 else "--help"
    try:
        if not first.startswith("-") and first not in _COMMANDS:
            near = did_you_mean(first, _COMMANDS) or f": choose from {', '.join(_COMMANDS)}"
            raise InputError(f"unknown command {first!r}{near}")
        app()
    except InputError as error:
        typer.echo(f"vitprobe: {error}", err=True)
        sys.exit(2)
