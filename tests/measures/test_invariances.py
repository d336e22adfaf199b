"""What each measure is invariant to is as the table of docs/measures.md says, both ways."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe import similarity
from vitprobe.measures import MEASURES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "measures.md"
COLUMNS = ("rotation", "scaling", "shift", "affine")


def table():
    """spec -> column -> yes or no, of the table below `## What each is invariant to`."""
    text = PAGE.read_text().split("## What each is invariant to")[1].split("\n## ")[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        specs = re.findall(r"`([\w:.]+)`", cells[0])
        if len(cells) == 1 + len(COLUMNS) and specs:
            for spec in specs:
                found[spec] = dict(zip(COLUMNS, cells[1:], strict=True))
    return found


TABLE = table()


def changed(x, column, random):
    p = x.shape[1]
    if column == "rotation":
        return x @ np.linalg.qr(random.randn(p, p))[0]
    if column == "scaling":
        return x * np.exp(random.uniform(-4, 4))
    if column == "shift":
        return x + 2 * random.randn(p)
    mixed = random.randn(p, p)
    left, values, right = np.linalg.svd(mixed)
    return x @ (left * (0.2 + values)) @ right


def arrays(seed):
    random = np.random.RandomState(seed)
    n, p, q = random.randint(14, 30), random.randint(3, 7), random.randint(3, 7)
    x = random.randn(n, p) * random.uniform(0.3, 2, p)
    y = x @ random.randn(p, q) + random.randn(n, q)
    return x, y, random


def test_every_measure_is_in_the_table():
    assert {spec.partition(":")[0] for spec in TABLE} == set(MEASURES)
    assert {cell for row in TABLE.values() for cell in row.values()} == {"yes", "no"}


@pytest.mark.parametrize("spec", TABLE)
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_invariant(spec, seed):
    x, y, random = arrays(seed)
    before = similarity(x, y, spec)
    order = random.permutation(len(x))
    assert similarity(x[order], y[order], spec) == pytest.approx(before, abs=1e-8)
    for column in COLUMNS:
        if TABLE[spec][column] == "yes":
            one = similarity(changed(x, column, random), y, spec)
            both = similarity(changed(x, column, random), changed(y, column, random), spec)
            assert one == pytest.approx(before, abs=1e-7), column
            assert both == pytest.approx(before, abs=1e-7), column


@pytest.mark.parametrize("spec", TABLE)
def test_not_invariant(spec):
    for column in COLUMNS:
        if TABLE[spec][column] == "no":
            differs = []
            for seed in range(4):
                x, y, random = arrays(seed)
                both = changed(x, column, random), changed(y, column, random)
                differs.append(abs(similarity(*both, spec) - similarity(x, y, spec)))
            assert max(differs) > 1e-3, column


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_bounds_and_symmetry(seed):
    x, y, _ = arrays(seed)
    for spec in TABLE:
        own = similarity(x, x, spec)
        far = similarity(x, y, spec)
        least = MEASURES[spec.partition(":")[0]].distance({"form": spec.rpartition(":")[2]})
        assert own == pytest.approx(0 if least else 1, abs=1e-6), spec
        if not spec.startswith("cknna"):  # of other neighbours than its norms: no bound
            assert (far > own - 1e-6) if least else (far < own + 1e-6), spec
        if not spec.startswith(("pwcca", "cknna")):
            assert similarity(y, x, spec) == pytest.approx(far, abs=1e-9), spec
    back = similarity(y, x, "pwcca:y")
    assert back == pytest.approx(similarity(x, y, "pwcca:x"), abs=1e-10)
