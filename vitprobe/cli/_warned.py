"""Warnings as a person at a terminal wants them: one line each, without file names."""

import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from vitprobe.cli._ending import first_process
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.text import LINE, printable

PACKAGES = ("site-packages", "dist-packages")


@contextmanager
def plain_warnings():
    """Print warnings as `note: ...` on stderr, each once; other libraries' with their name.

    What libraries announce of their future (FutureWarning) is for us to read, and is not shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", VitprobeWarning)
        said = set()

        def show(message, category, filename, *args, **kwargs):
            text = str(message)
            if not issubclass(category, VitprobeWarning):
                library = _library(filename)
                if library and issubclass(category, FutureWarning):
                    return
                line = next(iter(text.strip().splitlines()), category.__name__)
                text = f"{library or Path(filename).name}: {line}"
            if text not in said and first_process():
                said.add(text)
                with suppress(OSError):  # stderr may be full; the note is in the result too
                    typer.echo(f"note: {printable(text, LINE)}", err=True)

        warnings.showwarning = show
        yield


def _library(filename: str) -> str:
    """The installed package that a file is of; "" of a file elsewhere."""
    parts = Path(filename).parts
    place = next((i for i, part in enumerate(parts) if part in PACKAGES), len(parts))
    return next(iter(parts[place + 1 :]), "").removesuffix(".py")


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
