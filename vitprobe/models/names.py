"""From a model's name to its source, and every name that is known."""

from __future__ import annotations

import os

import timm

from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.from_timm import TimmSource
from vitprobe.models.from_timm_hub import TIMM_HUBS, TimmHubSource
from vitprobe.models.from_torchvision import PREFIX, TorchvisionSource, torchvision_names
from vitprobe.models.from_transformers import TRANSFORMERS, TransformersSource
from vitprobe.models.from_user import UserSource
from vitprobe.models.source import Source
from vitprobe.models.zoo import ALIASES, OWN, own_source

HUBS = {  # prefix -> source
    TRANSFORMERS: TransformersSource,
    **dict.fromkeys(TIMM_HUBS, TimmHubSource),
}


def known_names() -> list[str]:
    """Our own names first, then timm's, then torchvision's with their prefix."""
    own = [*OWN, *ALIASES]
    timms = [name for name in timm.list_models() if name not in OWN]
    return own + timms + [PREFIX + name for name in torchvision_names()]


def find_source(name: str, revision: str | None = None) -> Source:
    """Name -> Source. Raises InputError, with near names, for a name that nothing knows.

    revision: branch, tag or commit of a hub's repository, for names that are one.
    """
    prefix = next((prefix for prefix in HUBS if name.startswith(prefix)), None)
    if prefix:
        return HUBS[prefix](name, revision)
    if revision is not None:
        raise InputError(f"{name} has no revisions: they are for {' and '.join(HUBS)}NAME")
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
    if os.path.isfile(os.path.join(name, "config.json")):
        raise InputError(
            f"{name!r} is a folder: write hf:{name}@pretrained for one of transformers, "
            f"local-dir:{name}@pretrained for one of timm"
        )
    if os.path.isfile(name):
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
