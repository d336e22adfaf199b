"""Results -> matplotlib figures; one file per analysis, none of which touches pyplot."""

from vitprobe.figures.dispatch import plot
from vitprobe.figures.style import png_bytes, save_png

__all__ = ["plot", "png_bytes", "save_png"]
