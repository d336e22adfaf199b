"""Files of safetensors: weights, and beside them only text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from vitprobe.errors import InputError, brief
from vitprobe.files import regular_file


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights on the CPU, and the metadata: what is JSON in it as a value, the rest as text.

    Raises InputError for a file that is unreadable or not of safetensors.
    """
    path = regular_file(path, "checkpoint")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"cannot read checkpoint {path}: it is truncated or no safetensors file "
            f"({brief(error)})"
        ) from error
    return weights, {key: _from_json(text) for key, text in metadata.items()}


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
