"""Means and standard errors over images, against numpy; windows, blanks, merging."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.metrics import AttentionMeans
from vitprobe.ops import AttentionStatistics
from vitprobe.ops.reference_attention import attention_weights, statistics_of

FIELDS = ("distance_raw", "distance", "patch_mass", "entropy")


def statistics(images, heads, seed=0, dtype=torch.float64):
    """Made up: five values for every image and head."""
    values = torch.rand(4, images, heads, generator=torch.Generator().manual_seed(seed))
    return AttentionStatistics(*values.to(dtype), torch.zeros(images, heads, dtype=dtype), None)


def streamed(batches, heads):
    metric = AttentionMeans(heads)
    for layers in batches:
        metric.update(layers)
    return metric


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    heads=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    seed=st.integers(0, 2**20),
)
def test_against_numpy(sizes, heads, seed):
    batches = [
        [statistics(n, h, seed + 31 * i + j) for j, h in enumerate(heads)]
        for i, n in enumerate(sizes)
    ]
    result = streamed(batches, heads).compute()
    for field, name in enumerate(FIELDS):
        of_images = np.concatenate(
            [np.concatenate([layer[field].numpy() for layer in layers], 1) for layers in batches]
        )
        np.testing.assert_allclose(getattr(result, name), of_images.mean(0), rtol=1e-12)
        error = getattr(result, f"{name}_se").numpy()
        if sum(sizes) == 1:
            assert np.isnan(error).all()
        else:
            expected = of_images.std(0, ddof=1) / np.sqrt(len(of_images))
            np.testing.assert_allclose(error, expected, atol=1e-9)


def test_windows_of_an_image_are_averaged_first():
    split = statistics(6, 3)  # two images of three windows
    joined = AttentionStatistics(*(field.unflatten(0, (2, 3)).mean(1) for field in split[:5]), None)
    metric = AttentionMeans([3])
    metric.update([split], [3])
    for value, expected in zip(metric.compute(), streamed([[joined]], [3]).compute(), strict=True):
        torch.testing.assert_close(value, expected)


def test_a_window_without_a_distance_does_not_count():
    split = statistics(4, 1)
    split.distance[0], split.mass[0], split.left_out[0] = torch.nan, 0.0, 9
    metric = AttentionMeans([1])
    metric.update([split], [2])
    expected = (split.distance[1, 0] + split.distance[2:, 0].mean()) / 2
    assert metric.compute().distance.item() == pytest.approx(expected.item(), rel=1e-12)
    assert metric.compute().left_out.item() == 9
    assert metric.blanks() == [""]


def test_an_image_whose_queries_are_all_left_out_has_no_distance():
    """Attention to nothing but the class token, computed by the operator's specification."""
    q, k = torch.zeros(3, 1, 17, 4, dtype=torch.float64), torch.zeros(3, 1, 17, 4)
    bias = torch.zeros(3, 1, 17, 17, dtype=torch.float64)
    bias[1, :, :, 1:] = -torch.inf
    values = statistics_of(attention_weights(q, k.double(), 1.0, bias), 4, 4, 1, 8.0, 8.0)
    metric = streamed([[AttentionStatistics(*values, None)]], [1])
    result = metric.compute()
    assert result.distance.item() == pytest.approx(16.06412, abs=1e-5)  # of the other two
    assert result.distance_se.item() == pytest.approx(0, abs=1e-6)
    assert result.patch_mass.item() == pytest.approx(2 / 3 * 16 / 17)
    assert result.left_out.item() == 16
    assert metric.blanks() == [""]
    metric = streamed([[AttentionStatistics(*values[:, 1:2], None)]], [1])
    assert metric.compute().distance.isnan()
    assert metric.compute().entropy.item() == 0
    assert metric.blanks() == ["no patch is given attention"]


def test_shards_merge_by_addition():
    batches = [[statistics(n, 2, n), statistics(n, 3, n + 50)] for n in (4, 7, 1)]
    first, second = streamed(batches[:1], [2, 3]), streamed(batches[1:], [2, 3])
    first.merge_state(second)
    for value, whole in zip(first.compute(), streamed(batches, [2, 3]).compute(), strict=True):
        torch.testing.assert_close(value, whole)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_non_finite_values_are_named_with_their_batch(bad):
    broken = statistics(4, 3)
    for field in broken[:4]:
        field[2, 1] = bad
    metric = streamed([[statistics(4, 3, 1)], [broken], [statistics(4, 3, 2)]], [3])
    assert metric.blanks() == ["", "non-finite values (first in batch 1)", ""]
    finite = metric.compute().entropy.isfinite()
    assert finite.tolist() == [True, False, True]


def test_float32_is_summed_in_float64():
    batches = [[statistics(50, 2, i, torch.float32)] for i in range(20)]
    exact = [[AttentionStatistics(*(x.double() for x in layer[:5]), None)] for (layer,) in batches]
    for value, expected in zip(
        streamed(batches, [2]).compute(), streamed(exact, [2]).compute(), strict=True
    ):
        assert torch.equal(value, expected)


def test_one_head_of_one_image():
    result = streamed([[statistics(1, 1)]], [1]).compute()
    assert result.entropy.isfinite() and result.entropy_se.isnan()
    assert AttentionMeans([1]).blanks() == ["no images"]


def test_wrong_updates():
    metric = AttentionMeans([2, 3])
    with pytest.raises(ValueError, match="heads"):
        metric.update([statistics(4, 3), statistics(4, 2)])
    with pytest.raises(ValueError, match="windows"):
        metric.update([statistics(4, 2), statistics(8, 3)])
    metric.update([statistics(4, 2), statistics(8, 3)], [1, 2])
