"""From scores to classes: equal scores go to the lowest class."""

from torch import Tensor

EQUAL = 1e-9  # of a row's largest score, what rounding may have made different


def predictions(scores: Tensor) -> Tensor:
    """The class with the highest score; of scores that only rounding tells apart, the lowest class.

    So a prediction does not depend on the order of the training examples, where a bare argmax of
    two votes that are equal would.

    Args:
        scores: (..., classes) float64; -inf for a class that cannot be.

    Returns: (...) int64.
    """
    sizes = scores.abs().masked_fill(scores.isinf(), 0).amax(-1, keepdim=True)
    near = scores >= scores.amax(-1, keepdim=True) - EQUAL * sizes
    return near.byte().argmax(-1)  # of equal values the first


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Share of rows of scores (n, classes) whose prediction is their label (n,)."""
    return (predictions(scores) == labels.to(scores.device)).double().mean().item()
