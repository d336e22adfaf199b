"""Ratio and cosine of two branches, against float64."""

import numpy as np
import pytest
import torch

from vitprobe.metrics.branch_ratio import PIECE, BranchRatios, branch_products


def reference(z, f):
    """(ratio, cosine) of each token of (n, tokens, channels), in float64."""
    z, f = z.double(), f.double()
    a, b = z.norm(dim=-1), f.norm(dim=-1)
    return a / b, (z * f).sum(-1) / a / b


def branches(n=7, tokens=6, channels=16, dtype=torch.float32, seed=0):
    draw = torch.Generator().manual_seed(seed)
    z, f = (torch.randn(n, tokens, channels, generator=draw).to(dtype) for _ in range(2))
    return z, f * 0.3


@pytest.mark.parametrize(
    ("dtype", "error"),
    [(torch.float64, 1e-13), (torch.float32, 1e-6), (torch.bfloat16, 1e-6), (torch.float16, 1e-6)],
)
def test_means_and_errors_over_images(dtype, error):
    z, f = branches(dtype=dtype)
    metric = BranchRatios([(1, 2, 3)])
    for batch, part in enumerate((slice(0, 4), slice(4, 7))):
        metric.update({0: branch_products(z[part], f[part], 2)}, batch)
    found = metric.compute()
    for name, each in zip(("ratio", "cosine"), reference(z, f), strict=True):
        parts = each.split([1, 2, 3], 1)
        images = torch.stack([parts[2].mean(1), parts[0].mean(1), parts[1].mean(1)], 1)
        torch.testing.assert_close(getattr(found, name)[0], images.mean(0), rtol=error, atol=error)
        errors = images.std(0) / 7**0.5
        torch.testing.assert_close(getattr(found, f"{name}_se")[0], errors, rtol=1e-4, atol=1e-6)
        of_tokens = getattr(found, f"token_{name}")
        torch.testing.assert_close(of_tokens, each.mean(0), rtol=error, atol=error)
    norm = z.double().norm(dim=-1)[:, 3:].mean()
    torch.testing.assert_close(found.z_norm[0, 0], norm, rtol=error, atol=0)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_channels_of_any_axis_in_pieces(axis):
    z, f = (x.movedim(-1, axis) for x in torch.randn(2, 100, 12, 12, 160).unbind())
    assert z.numel() * 4 > 4 * PIECE
    zz, ff, zf = branch_products(z, f, axis).double()
    ratio, cosine = reference(*(x.movedim(axis, -1).flatten(1, 2) for x in (z, f)))
    torch.testing.assert_close((zz / ff).sqrt(), ratio, rtol=1e-6, atol=0)
    torch.testing.assert_close(zf / (zz * ff).sqrt(), cosine, rtol=0, atol=1e-6)


def test_a_vector_is_one_token():
    assert branch_products(torch.ones(3, 4), torch.ones(3, 4), 1).tolist() == [[[4.0]] * 3] * 3


def test_zero_branches_are_left_out_and_counted():
    z, f = torch.ones(2, 3, 4), torch.full((2, 3, 4), 0.5)
    f[0, 0] = 0  # no ratio, no cosine
    z[1, 1] = 0  # a ratio of 0, no cosine
    metric = BranchRatios([(0, 0, 3)])
    metric.update({0: branch_products(z, f, 2)}, 0)
    found = metric.compute()
    assert found.ratio[0, 0].item() == pytest.approx((2 + 4 / 3) / 2, rel=1e-12)
    assert found.cosine[0, 0].item() == pytest.approx(1)
    assert (found.infinite[0, 0].item(), found.undirected[0, 0].item()) == (1, 2)
    assert found.token_ratio.tolist() == pytest.approx([2, 1, 2])
    assert metric.blanks() == [""]


def test_an_image_without_a_ratio_is_not_in_the_mean():
    z, f = torch.ones(3, 2, 4), torch.full((3, 2, 4), 0.25)
    f[1] = 0
    metric = BranchRatios([(0, 0, 2)])
    metric.update({0: branch_products(z, f, 2)}, 0)
    assert metric.compute().ratio[0, 0].item() == 4
    assert metric.compute().ratio_se[0, 0].item() == 0


def test_blanks():
    z, f = torch.ones(2, 2, 4), torch.ones(2, 2, 4)
    metric = BranchRatios([(0, 0, 2)] * 3 + [(0, 0, 2)])
    metric.update({0: branch_products(z, 0 * f, 2)}, 0)
    f[1, 1, 0] = torch.nan
    metric.update({1: branch_products(z, f, 2)}, 5)
    metric.update({1: branch_products(f, z, 2)}, 3)
    metric.update({2: branch_products(z, z, 2)}, 0)
    assert metric.blanks() == [
        "its long branch is zero everywhere",
        "non-finite values (first in batch 3)",
        "",
        "no images",
    ]
    found = metric.compute()
    assert np.isnan(found.ratio[:2]).all() and np.isnan(found.cosine[:2]).all()
    assert found.ratio[2, 0].item() == 1 and found.token_ratio[4:6].tolist() == [1, 1]


def test_one_image_has_no_error():
    metric = BranchRatios([(0, 0, 2)])
    metric.update({0: branch_products(torch.ones(1, 2, 4), torch.ones(1, 2, 4), 2)}, 0)
    assert metric.compute().ratio[0, 0].item() == 1
    assert metric.compute().ratio_se[0].isnan().all()


def test_sums_add():
    z, f = branches(12)
    whole, parts = BranchRatios([(1, 0, 5)]), [BranchRatios([(1, 0, 5)]) for _ in range(2)]
    for batch in range(4):
        products = branch_products(z[3 * batch :][:3], f[3 * batch :][:3], 2)
        whole.update({0: products}, batch)
        parts[batch % 2].update({0: products}, batch)
    merged = BranchRatios([(1, 0, 5)])
    for name in whole._defaults:
        a, b = (getattr(part, name) for part in parts)
        setattr(merged, name, torch.minimum(a, b) if name == "first_bad" else a + b)
    torch.testing.assert_close(
        tuple(merged.compute()), tuple(whole.compute()), rtol=1e-12, atol=1e-14, equal_nan=True
    )


def test_other_tokens_are_refused():
    with pytest.raises(ValueError, match="2 tokens were declared, not 3"):
        BranchRatios([(0, 0, 2)]).update({0: torch.ones(3, 1, 3)}, 0)
