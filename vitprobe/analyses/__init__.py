"""Models and data in, one labelled result (`xarray.Dataset`) out: one file per analysis."""

from vitprobe.analyses.cka import cka

__all__ = ["cka"]
