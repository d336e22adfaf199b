"""Small models with the habits of large ones, and images for them."""

import pytest
import torch
from torch import nn


class Habits(nn.Module):
    """In-place ReLU after a norm, modules called twice or never, tuple and dict outputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.Linear(2, 2)
        self.pair = Pair()
        self.head = nn.Linear(6, 5)

    def forward(self, images):
        x = self.relu(self.norm(self.conv(images)))
        x = self.relu(self.norm(x) - 0.5)
        mean, extra = self.pair(x)
        return {"logits": self.head(mean), "extra": extra["maximum"]}


class Pair(nn.Module):
    """(N, C, H, W) -> the mean over space, and a dictionary with the maximum."""

    def forward(self, x):
        return x.mean((2, 3)), {"maximum": x.amax((2, 3))}


class SequenceFirst(nn.Module):
    """A transformer whose activations are (tokens, examples, features)."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=False)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, images):
        tokens = self.embed(images).flatten(2).permute(2, 0, 1)
        return self.head(self.encoder(tokens).mean(0))


@pytest.fixture
def habits():
    torch.manual_seed(0)
    return Habits()


@pytest.fixture
def sequence_first():
    torch.manual_seed(1)
    return SequenceFirst()


@pytest.fixture(scope="session")
def images():
    """(48, 3, 16, 16) float32, smooth enough to have structure."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(48, 3, 4, 4, generator=generator)
    return nn.functional.interpolate(coarse, size=16, mode="bilinear")
