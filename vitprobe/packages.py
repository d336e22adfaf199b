"""Packages that only a part of vitprobe needs, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from vitprobe.errors import InputError


def package(module: str, needs: str, install: str) -> ModuleType:
    """The module, imported.

    needs: what cannot be done without it. install: what pip is to install.

    Raises:
        InputError: it is missing, or cannot be imported: names it and says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{needs}: needs the library {module} ({reason}): pip install {install}"
        ) from error
