"""Warnings as a person at a terminal wants them: one line each, without file names."""

import warnings
from contextlib import contextmanager, suppress

import typer

from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.text import printable


@contextmanager
def plain_warnings():
    """Print vitprobe's own warnings as `note: ...` on stderr, each sentence once."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", VitprobeWarning)
        said = set()
        inherited = warnings.showwarning

        def show(message, category, *args, **kwargs):
            if not issubclass(category, VitprobeWarning):
                inherited(message, category, *args, **kwargs)
            elif str(message) not in said:
                said.add(str(message))
                with suppress(OSError):  # stderr may be full; the note is in the result too
                    typer.echo(f"note: {printable(message, None)}", err=True)

        warnings.showwarning = show
        yield


def require_kernels(device: str) -> None:
    """Refuse `--device cuda` where the CUDA kernels were not built; `auto` runs the reference.

    Raises:
        InputError: asked for CUDA by name, and its kernels are missing.
    """
    from vitprobe.models import choose_device
    from vitprobe.ops import kernel_status

    if device == "auto" or choose_device(device).type != "cuda":
        return
    status = kernel_status()["cuda"]
    if status != "loaded":
        raise InputError(
            f"vitprobe's CUDA kernels are not there ({status}): reinstall with VITPROBE_CUDA=1, or "
            "use --device auto for the slower reference"
        )
