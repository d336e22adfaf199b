"""Which modules are the blocks of a model: see `vitprobe.models.blocks`."""

from vitprobe.models.blocks import block_paths, enclosing_block

__all__ = ["block_paths", "enclosing_block"]
