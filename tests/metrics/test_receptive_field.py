"""Sums of maps: radii by brute force, errors by simulation, parts that add."""

import numpy as np
import pytest
import torch

from vitprobe.metrics.receptive_field import ZERO, FieldSums, rings


def brute(values, point):
    """centre, r50, r90, area of a map, pixel by pixel."""
    whole = values / values.sum()
    distances = {}
    for (row, column), value in np.ndenumerate(whole):
        key = round(((row - point[0]) ** 2 + (column - point[1]) ** 2) ** 0.5, 6)
        distances.setdefault(key, []).append(value)
    order = sorted(distances)
    radii = []
    for share in (0.5, 0.9):
        mass = 0.0
        for key in order:
            mass += sum(distances[key])
            if mass >= share - 1e-12:
                radii.append(key)
                break
    return np.mean(distances[order[0]]), *radii, (whole > 0.01 * whole.max()).sum()


@pytest.mark.parametrize("point", [(4.0, 3.0), (3.5, 3.5), (5.5, 2.0), (1.25, 6.75), (40.0, -3.0)])
def test_numbers_are_those_of_every_pixel(point):
    maps = torch.rand(6, 9, 13, dtype=torch.float64) ** 6
    metric = FieldSums([point, (0.0, 0.0)], 9, 13)
    metric.update(0, maps[:4], 0)
    metric.update(0, maps[4:], 1)
    found = metric.compute()
    centre, r50, r90, area = brute(maps.sum(0).numpy(), point)
    assert found.map[0].sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found.centre[0], centre)
    np.testing.assert_allclose(found.radii[0], [r50, r90], atol=1e-6)
    assert found.area[0] == area
    assert np.isnan(found.map[1]).all() and np.isnan(found.radii[1]).all()
    assert metric.blanks() == ["", "no images"]


def test_rings_hold_every_pixel_once():
    order, ends, radii = rings((3.5, 3.5), 8, 10)
    assert sorted(order) == list(range(80)) and ends[0] == 4 and ends[-1] == 80
    assert (np.diff(radii) > 0).all() and radii[0] == pytest.approx(0.5**0.5)


def images_at_random(generator, n):
    """Maps whose mass lies here or there, and is large or small."""
    rows, columns = np.mgrid[:24, :24] - 12
    width = generator.uniform(2, 6, n)[:, None, None]
    maps = np.exp(-(rows**2 + columns**2) / (2 * width**2))
    return torch.from_numpy(maps * generator.gamma(4, 1, n)[:, None, None])


def test_errors_are_those_of_many_samples():
    generator = np.random.default_rng(0)
    found = []
    for _ in range(300):
        metric = FieldSums([(12.0, 12.0)], 24, 24)
        metric.update(0, images_at_random(generator, 40), 0)
        each = metric.compute()
        found.append([each.centre[0], *each.radii[0], each.centre_se[0], *each.radii_se[0]])
    found = np.array(found)
    spread, told = found[:, :3].std(0), found[:, 3:].mean(0)
    np.testing.assert_allclose(told[0], spread[0], rtol=0.1)
    np.testing.assert_allclose(told[1:], spread[1:], rtol=0.3)  # radii come in steps


def test_parts_add_and_blanks_have_reasons():
    maps = torch.rand(8, 3, 5, 5, dtype=torch.float64)
    maps[:, 1] = 0
    maps[5, 2, 0, 0] = torch.nan
    whole = FieldSums([(2.0, 2.0)] * 3, 5, 5)
    parts = [FieldSums([(2.0, 2.0)] * 3, 5, 5) for _ in range(2)]
    for batch, some in enumerate(maps.split(2)):
        for layer in range(3):
            whole.update(layer, some[:, layer], batch)
            parts[batch % 2].update(layer, some[:, layer], batch)
    for name in whole._defaults:
        a, b, both = (getattr(each, name) for each in (*parts, whole))
        merged = torch.minimum(a, b) if name == "first_bad" else a + b
        torch.testing.assert_close(merged, both, equal_nan=True)
    assert whole.blanks() == ["", ZERO, "non-finite gradients (first in batch 2)"]
    found = whole.compute()
    assert np.isfinite(found.radii[0]).all() and np.isnan(found.centre[1:]).all()


def test_one_image_has_no_error():
    metric = FieldSums([(1.0, 1.0)], 3, 3)
    metric.update(0, torch.rand(1, 3, 3), 0)
    found = metric.compute()
    assert np.isfinite(found.radii).all()
    assert np.isnan(found.centre_se).all() and np.isnan(found.radii_se).all()
