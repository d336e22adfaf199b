"""Shared fixtures: where the real images and weights are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images and weights; a test that needs it is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VITPROBE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set VITPROBE_TEST_DATA)")
    return folder
