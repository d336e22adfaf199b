"""The command `vitprobe`: every file here without a leading underscore is a sub-command.

`head_subsets.py` is `vitprobe head-subsets`.
"""

import os
import pkgutil
import signal
import sys
from importlib import import_module

import typer

import vitprobe
from vitprobe.cli import _completion as completion
from vitprobe.cli import _ending as ending
from vitprobe.errors import (
    InputError,
    SaveFailed,
    Stopped,
    did_you_mean,
    stop_behind,
    typed_options,
)

app = typer.Typer(
    help="How a vision model sees, layer by layer, and how two of them differ.",
    no_args_is_help=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),  # --batch_size, --batch-size
    },
    pretty_exceptions_enable=False,
)
# What says how OpenMP's threads wait for work; read when torch is loaded. GNU's (torch's on Linux)
# spin long, so that two trainings on the same cores hold each other up. Not at all costs a single
# one a third more time, this little nothing: docs/training.md.
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
SPINS = "3000"
_COMMANDS = sorted(
    info.name.replace("_", "-")
    for info in pkgutil.iter_modules(__path__)
    if not info.name.startswith("_")
)
for _name in _COMMANDS:
    _module = import_module(f"{__name__}.{_name.replace('-', '_')}")
    app.command(_name)(completion.completed(_module.command))


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
    """Run the command and end with its exit code: see `_ending`."""
    if not any(name in os.environ for name in WAITING):
        os.environ[WAITING[0]] = SPINS
    if sys.stdout is None:  # closed by the caller
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    if completion.VARIABLE in os.environ:  # a shell asks what may follow
        with completion.whole_words():
            app(prog_name="vitprobe")
    with ending.stoppable(), typed_options():
        code = _run(sys.argv[1:] or ["--help"])
    sys.exit(code)


def _run(words: list[str]) -> int:
    ending.WRITTEN.clear()
    try:
        if not words[0].startswith("-") and words[0] not in _COMMANDS:
            near = did_you_mean(words[0], _COMMANDS) or f": choose from {', '.join(_COMMANDS)}"
            raise InputError(f"unknown command {words[0]!r}{near}")
        code = app(words, standalone_mode=False) or 0
        if code == 128 + signal.SIGINT:  # typer's answer to a KeyboardInterrupt, without a word
            ending.say("interrupted")
        lost = ending.stdout_error()
        return code if lost is None else ending.output_lost(lost)
    except (Exception, Stopped) as error:
        if (stop := stop_behind(error)) is not None:
            return ending.stopped(stop)
        if isinstance(error, InputError):
            return ending.refused(str(error), 1 if isinstance(error, SaveFailed) else 2)
        if hasattr(error, "format_message"):  # one of typer's own
            line = " ".join(error.format_message().split())
            return ending.refused(f"{line.rstrip('.')}. See vitprobe {words[0]} --help")
        # its own files' errors are told by their makers; another line shows if this one is stdout's
        nameless = isinstance(error, OSError) and error.filename is None
        lost = ending.stdout_error("\n") if nameless else None
        return ending.fault(error) if lost is None else ending.output_lost(lost)
