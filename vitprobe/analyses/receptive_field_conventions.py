"""Which value is differentiated, and what is made of its gradient: by the paper, and as others do.

`raghu` (Raghu et al. 2021, figures 6 and C): the mean over channels of the position (h // 2,
w // 2); the absolute gradient, mean over the channels of the image and over images. `replknet`
(Ding et al. 2022, its visualisation script): the sum over channels of what is positive there; of
the gradient what is positive, summed over the channels of the image. `openerf`: the mean over
channels of the position ((h - 1) // 2, (w - 1) // 2), the upper left of the middle four; the mean
over the channels of the image with its sign, of which what is positive.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vitprobe.errors import InputError, did_you_mean, option


@dataclass(frozen=True)
class Convention:
    """place: (rows, columns) of a grid -> row and column of its centre. value: (n, channels) there
    -> the number whose gradient is taken, that of an image summed over images. of_gradient: (n, C,
    H, W) -> (n, H, W), what is summed over images."""

    place: Callable[[int, int], tuple[int, int]]
    value: Callable[[Tensor], Tensor]
    of_gradient: Callable[[Tensor], Tensor]


def _middle(rows: int, columns: int) -> tuple[int, int]:
    return rows // 2, columns // 2


CONVENTIONS = {
    "raghu": Convention(
        _middle, lambda x: x.mean(1).sum(), lambda gradient: gradient.abs().mean(1)
    ),
    "replknet": Convention(
        _middle, lambda x: x.relu().sum(), lambda gradient: gradient.relu().sum(1)
    ),
    "openerf": Convention(
        lambda rows, columns: ((rows - 1) // 2, (columns - 1) // 2),
        lambda x: x.mean(1).sum(),
        lambda gradient: gradient.mean(1).relu(),
    ),
}
RESIDUALS = ("post", "pre")
SQUARES = (0.2, 0.3, 0.5, 0.99)  # shares that RepLKNet's squares hold


def signed(x: Tensor) -> Tensor:
    """(n, channels) with a sign for each channel, always the same ones. Where a normalisation makes
    the sum over channels a constant, whose gradient is zero, the sum of these is none."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(2, x.shape[1:], generator=generator) * 2 - 1
    return x * signs.to(x)


def check(convention: str, residual: str) -> None:
    """Raises InputError for words that mean nothing here."""
    for name, word, known in (
        ("convention", convention, tuple(CONVENTIONS)),
        ("residual", residual, RESIDUALS),
    ):
        if word not in known:
            raise InputError(
                f"{option(name)} is {' or '.join(known)}, not {word!r}{did_you_mean(word, known)}"
            )
