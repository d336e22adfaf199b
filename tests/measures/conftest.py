"""Google's demo pair of arrays."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def demo():
    """x and y = x + noise, (100, 10) float64."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return x, random.randn(100, 10) + x
