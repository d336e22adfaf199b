"""How alike two representations of the same examples are: pure functions of arrays."""

from vitprobe.measures.similarity import similarity
from vitprobe.measures.table import MEASURES, Chosen, chosen, chosen_list

__all__ = ["MEASURES", "Chosen", "chosen", "chosen_list", "similarity"]
