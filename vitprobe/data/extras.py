"""Libraries that only some data sets need."""

from __future__ import annotations

import importlib
from types import ModuleType

from vitprobe.errors import InputError


def library(module: str, extra: str) -> ModuleType:
    """The module, imported; raises InputError that says how to install what is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f'{extra}: needs the library {module} ({reason}): pip install "vitprobe[{extra}]"'
        ) from error
