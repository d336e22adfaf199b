"""One way through the images for any number of analyses: read, forward, add up."""

from vitprobe.passes.reader import Batch, Ran, Reader
from vitprobe.passes.wants import (
    Activations,
    AttentionOf,
    Calls,
    InputsOf,
    OwnForward,
    Residuals,
)

__all__ = [
    "Activations",
    "AttentionOf",
    "Batch",
    "Calls",
    "InputsOf",
    "OwnForward",
    "Ran",
    "Reader",
    "Residuals",
]
