"""Arrays given to a probe: looked at, as tensors, or one line that says what is wrong."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.ops.wide import wide


class Given(NamedTuple):
    """Features (n, p) float64, labels (n,) int64 as numbers of `classes`, and these, sorted."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: np.ndarray


def given(x_train, y_train, x_test, y_test) -> Given:
    """What `probe_features` was given; raises its `InputError`s."""
    train, test = _features("x_train", x_train), _features("x_test", x_test)
    if train.shape[1] != test.shape[1]:
        raise InputError(
            f"x_train has {train.shape[1]} features and x_test {test.shape[1]}: "
            f"both must be of the same site"
        )
    labels, test_labels = _labels("y_train", y_train, train), _labels("y_test", y_test, test)
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"y_train has one class only ({classes[0]}): a probe tells classes apart; "
            f"give two or more"
        )
    new = np.setdiff1d(test_labels, classes)
    if len(new):
        raise InputError(f"y_test has class {new[0]}, of which there is no training example")
    there = test.device
    return Given(
        train,
        torch.from_numpy(numbers.reshape(-1)).to(there),
        test.to(train.device),
        torch.from_numpy(np.searchsorted(classes, test_labels)).to(there),
        classes,
    )


def _features(name: str, x) -> Tensor:
    try:
        x = x.detach() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers (n, features)") from error
    if x.ndim < 2 or x.numel() == 0 or x.is_complex():
        raise InputError(
            f"{name} must be real numbers (n, features) with n > 0, not {tuple(x.shape)} {x.dtype}"
        )
    x = wide(x).flatten(1)
    bad = ~x.isfinite()
    if bad.any():
        row, column = bad.nonzero()[0].tolist()
        kind = "NaN" if x[row, column].isnan() else "an infinity"
        rows = int(bad.any(1).sum())
        raise InputError(
            f"{name} is not finite in {rows} of {len(x)} rows (first: {kind} in row {row}, "
            f"feature {column}): leave them out"
        )
    return x


def _labels(name: str, y, x: Tensor) -> np.ndarray:
    if y is None:
        raise InputError(f"a probe needs labels: {name} is None")
    y = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iuUS":
        raise InputError(f"{name} must be (n,) integers or names, not {y.shape} {y.dtype}")
    if len(y) != len(x):
        raise InputError(f"{name} has {len(y)} labels for {len(x)} rows of features")
    return y
