"""Results -> matplotlib figures; one file per analysis, none of which touches pyplot."""

from vitprobe.figures.dispatch import plot
from vitprobe.figures.style import save_png

__all__ = ["plot", "save_png"]
