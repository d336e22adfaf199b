"""Images and what is done to them: named data sets, transforms, the order, the paired loader."""

from vitprobe.data.transforms import Transform

__all__ = ["Transform"]
