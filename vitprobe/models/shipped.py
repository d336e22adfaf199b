"""Small trained weights that ship with vitprobe: `vit@digits`, `resnet20@digits`."""

from __future__ import annotations

from pathlib import Path

from vitprobe.errors import InputError

FOLDER = Path(__file__).parent / "weights"
SHIPPED = ("vit", "resnet20")


def shipped_weights(name: str) -> Path:
    """The file of a model's weights for `digits`; InputError for a name that has none."""
    if name not in SHIPPED:
        raise InputError(
            f"no weights for digits ship for {name}, but for {' and '.join(SHIPPED)}: use "
            f"{SHIPPED[0]}@digits, or {name}@./digits for a file of that name"
        )
    return FOLDER / f"{name}-digits.safetensors"
