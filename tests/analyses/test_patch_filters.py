"""Position embeddings and filters that are known."""

import numpy as np
import pytest
import torch
from torch import nn

from vitprobe.analyses.patch_filters import (
    COMPONENTS,
    filter_components,
    patch_filters,
    position_similarity,
)


class Table(nn.Module):
    """A position embedding under a given name."""

    def __init__(self, name, values, as_embedding=False):
        super().__init__()
        if as_embedding:
            setattr(self, name, nn.Embedding.from_pretrained(values))
        else:
            setattr(self, name, nn.Parameter(values))


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize(
    "name", ["pos_embed", "pos_embedding", "position_embeddings", "positional_embedding"]
)
def test_angles_on_a_circle(name, prefix):
    angles = torch.arange(6, dtype=torch.float64) * 0.7
    circle = torch.stack([angles.cos(), angles.sin()], 1) * torch.arange(1, 7)[:, None]
    table = torch.cat([torch.full((prefix, 2), 9.0), circle])[None]
    expected = torch.cos(angles[:, None] - angles)
    found = position_similarity(Table(name, table), 6, prefix)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_table_without_rows_for_the_prefix_and_one_of_an_embedding_module():
    table = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    expected = position_similarity(Table("pos_embed", table), 6, 0)
    assert torch.equal(position_similarity(Table("pos_embed", table), 6, 1), expected)
    module = Table("position_embedding", table, as_embedding=True)
    assert torch.equal(position_similarity(module, 6, 0), expected)


@pytest.mark.parametrize("name", ["relative_position_bias_table", "weight"])
def test_other_tables_are_none(name):
    reason = position_similarity(Table(name, torch.randn(6, 4)), 6, 0)
    assert reason == "no position embedding that is added to 6 patches"


def test_a_table_of_another_length_is_named():
    reason = position_similarity(Table("pos_embed", torch.randn(1, 10, 4)), 6, 1)
    assert "(pos_embed is 10x4)" in reason


def test_the_patch_convolution_is_the_one_that_tiles_the_image():
    stem = nn.Sequential(
        nn.Conv2d(3, 8, 3, 1), nn.Conv2d(8, 8, 2, 2), nn.Conv2d(3, 5, (4, 2), (4, 2))
    )
    assert torch.equal(patch_filters(stem, 3), stem[2].weight.double())
    assert "no patch convolution" in patch_filters(stem, 1)
    assert "no patch convolution" in patch_filters(nn.Linear(3, 3), 3)


def test_components_are_those_of_the_covariance():
    generator = torch.Generator().manual_seed(3)
    filters = torch.randn(200, 3, 4, 4, generator=generator, dtype=torch.float64)
    filters = filters * torch.linspace(0.1, 2, 48).reshape(3, 4, 4) + 5
    components, share = filter_components(filters)
    values, vectors = np.linalg.eigh(np.cov(filters.flatten(1).numpy().T))
    assert components.shape == (COMPONENTS, 3, 4, 4)
    np.testing.assert_allclose(share, values[::-1][:COMPONENTS] / values.sum(), rtol=1e-9)
    cosines = np.abs(np.sum(components.flatten(1).numpy() * vectors.T[::-1][:COMPONENTS], 1))
    np.testing.assert_allclose(cosines, 1, rtol=1e-6)
    assert (components.flatten(1).abs().amax(1) == components.flatten(1).amax(1)).all()


def test_one_pattern_is_the_first_component():
    pattern = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    strengths = torch.linspace(-1, 1, 9, dtype=torch.float64)
    components, share = filter_components(strengths[:, None, None, None] * pattern + 3)
    assert share[0].item() == pytest.approx(1)
    cosine = (components[0] * pattern).sum() / pattern.norm()
    assert abs(cosine.item()) == pytest.approx(1)
