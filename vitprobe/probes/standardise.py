"""Features with mean 0 and standard deviation 1, and weights for the features as they were."""

from typing import NamedTuple

import torch
from torch import Tensor

from vitprobe.probes.ridge import centred


class Standard(NamedTuple):
    """mean: (p,). scale: (p,), the standard deviation; 1 where a feature is constant."""

    mean: Tensor
    scale: Tensor

    def of(self, x: Tensor) -> Tensor:
        """x (n, p), standardised."""
        return (x - self.mean) / self.scale

    def for_raw(self, weights: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (..., p, C) and bias (..., C) that give the same scores of raw features."""
        weights = weights / self.scale[:, None]
        return weights, bias - self.mean @ weights


def standard(x: Tensor) -> Standard:
    """Mean and scale of the training features x (n, p) float64, as scikit-learn's StandardScaler.

    The standard deviation divides by n. What is rounding of a constant counts as constant.
    """
    mean = x.mean(0)
    deviation = centred(x, mean).square().mean(0).sqrt()
    constant = deviation <= 10 * torch.finfo(x.dtype).eps * mean.abs()
    return Standard(mean, deviation.masked_fill(constant, 1.0))
