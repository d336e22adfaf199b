"""From a model's name to its source, and every name that is known."""

from __future__ import annotations

from pathlib import Path

import timm

from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.from_timm import TimmSource
from vitprobe.models.from_torchvision import PREFIX, TorchvisionSource, torchvision_names
from vitprobe.models.from_user import UserSource
from vitprobe.models.source import Source
from vitprobe.models.zoo import ALIASES, OWN, own_source


def known_names() -> list[str]:
    """Our own names first, then timm's, then torchvision's with their prefix."""
    own = [*OWN, *ALIASES]
    timms = [name for name in timm.list_models() if name not in OWN]
    return own + timms + [PREFIX + name for name in torchvision_names()]


def find_source(name: str) -> Source:
    """Name -> Source. Raises InputError, with near names, for a name that nothing knows."""
    if name in OWN:
        return own_source(name)
    if name in ALIASES:
        return TimmSource(name, ALIASES[name])
    if name.startswith(PREFIX):
        return TorchvisionSource(name)
    if ":" in name:
        return UserSource(name)
    if timm.is_model(name):
        return TimmSource(name)
    if Path(name).is_file():
        raise InputError(f"{name!r} is a file: say whose weights it holds, as in vit@{name}")
    near = did_you_mean(name, known_names())
    raise InputError(
        f"unknown model {name!r}"
        + (
            near
            or f": use one of {', '.join([*OWN, *ALIASES])}, a timm name, torchvision:NAME "
            "or package.module:callable"
        )
    )
