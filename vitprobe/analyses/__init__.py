"""Models and data in, one labelled result (`xarray.Dataset`) out: one file per analysis."""

from vitprobe.analyses.attention import attention
from vitprobe.analyses.cka import cka

__all__ = ["attention", "cka"]
