"""The command `vitprobe`: every file here without a leading underscore is a sub-command.

`head_subsets.py` is `vitprobe head-subsets`.
"""

import os
import pkgutil
import sys
import time
from importlib import import_module

import typer

import vitprobe
from vitprobe.errors import InputError, did_you_mean
from vitprobe.text import LINE, printable

OTHERS_WAIT = 5.0  # seconds

app = typer.Typer(
    help="How a vision model sees, layer by layer, and how two of them differ.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),  # --batch_size, --batch-size
    },
    pretty_exceptions_enable=False,
)
_COMMANDS = sorted(
    info.name.replace("_", "-")
    for info in pkgutil.iter_modules(__path__)
    if not info.name.startswith("_")
)
for _name in _COMMANDS:
    app.command(_name)(import_module(f"{__name__}.{_name.replace('-', '_')}").command)


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
    words = sys.argv[1:] or ["--help"]
    try:
        if not words[0].startswith("-") and words[0] not in _COMMANDS:
            near = did_you_mean(words[0], _COMMANDS) or f": choose from {', '.join(_COMMANDS)}"
            raise InputError(f"unknown command {words[0]!r}{near}")
        sys.exit(app(words, standalone_mode=False))
    except InputError as error:
        _refuse(str(error))
    except typer.Abort:
        _refuse("interrupted; nothing was written")
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of typer's own: a fault, to be seen
            raise
        line = " ".join(error.format_message().split())
        _refuse(f"{line} See vitprobe {words[0]} --help")


def _refuse(line: str) -> None:
    if os.environ.get("RANK", "0") != "0":
        # Under torchrun the first process has most likely said the same, and then this one is
        # ended before it does.
        time.sleep(OTHERS_WAIT)
    typer.echo(f"vitprobe: {printable(line, LINE)}", err=True)
    sys.exit(2)
