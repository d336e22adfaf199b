"""Digits, as FIELD's numbers want them."""

import pytest
import torch
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits():
    """x_train, y_train, x_test, y_test: raw pixels; rows 0-999 and 1000-1796."""
    x, y = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    return x[:1000], y[:1000], x[1000:], y[1000:].long()
