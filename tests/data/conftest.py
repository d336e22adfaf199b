"""Folders of small generated images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_images(tmp_path):
    """write_images({"cat/1.png": 8, ...}) -> folder; an image of that side, pixels by its rank."""

    def write(sizes: dict[str, int], root: Path = tmp_path / "images") -> Path:
        for rank, (name, size) in enumerate(sizes.items()):
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(rank).integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(noise).save(file)
        return root

    return write


@pytest.fixture
def truncate():
    """Keeps the first half of a file's bytes: its header stays good, its last rows are gone."""

    def cut(path: Path) -> Path:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return path

    return cut
