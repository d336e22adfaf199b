"""Libraries that only some data sets need."""

from __future__ import annotations

from types import ModuleType

from vitprobe.packages import package


def library(module: str, extra: str) -> ModuleType:
    """The module, imported; raises InputError that says how to install what is missing."""
    return package(module, extra, f'"vitprobe[{extra}]"')
