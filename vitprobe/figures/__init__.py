"""Results -> matplotlib figures; one file per analysis, none of which touches pyplot."""

from vitprobe.figures.dispatch import plot
from vitprobe.figures.style import FORMATS, figure_bytes, png_bytes, save_png

__all__ = ["FORMATS", "figure_bytes", "plot", "png_bytes", "save_png"]
