"""Images that augmentation is tried on."""

import pytest
import torch


@pytest.fixture
def noise():
    """noise(n, height, width) -> uint8 (n, 3, height, width), the same for the same sizes."""

    def make(n, height=32, width=32):
        generator = torch.Generator().manual_seed(n)
        return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)

    return make
