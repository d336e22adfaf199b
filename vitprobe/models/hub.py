"""Repositories of the Hugging Face hub: read at one commit, from the cache where it is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download

from vitprobe.errors import InputError, brief


def pinned(name: str, repository: str, revision: str | None) -> str:
    """The commit that a branch or tag (None: the main one) is at now: all files are read there.

    The cache and HF_HUB_OFFLINE are the hub client's. Raises InputError where the repository
    cannot be had.
    """
    try:
        with quiet_hub():
            config = hf_hub_download(repository, "config.json", revision=revision)
    except Exception as error:  # the client raises its own, its HTTP library's and the system's
        at = f" at revision {revision}" if revision else ""
        raise InputError(
            f"cannot read {name}{at} from the hub or its cache ({brief(error)}): check the name "
            "and the network, or name a folder"
        ) from error
    return Path(config).parent.name  # .../snapshots/COMMIT/config.json


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Without a network the hub's client warns of each of its many retries; one error is enough."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
