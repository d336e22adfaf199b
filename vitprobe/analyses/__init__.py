"""Models and data in, one labelled result (`xarray.Dataset`) out: one file per analysis."""

from vitprobe.analyses.attention import attention
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka import cka
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.compare_training import compare_training
from vitprobe.analyses.head_subsets import head_subsets
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.analyses.maps import maps
from vitprobe.analyses.merged import merge
from vitprobe.analyses.receptive_field import receptive_field
from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
from vitprobe.analyses.run import run
from vitprobe.analyses.skips import skips
from vitprobe.analyses.skips_reader import SkipsReader

__all__ = [
    "AttentionReader",
    "CKAReader",
    "HeadSubsetsReader",
    "ReceptiveFieldReader",
    "SkipsReader",
    "attention",
    "cka",
    "compare_training",
    "head_subsets",
    "maps",
    "merge",
    "receptive_field",
    "run",
    "skips",
]
