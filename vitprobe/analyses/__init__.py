"""Models and data in, one labelled result (`xarray.Dataset`) out: one file per analysis."""

from vitprobe.analyses.attention import attention
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka import cka
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.compare_training import compare_training
from vitprobe.analyses.features import features
from vitprobe.analyses.finetuning import finetuning
from vitprobe.analyses.finetuning_reader import FinetuningReader
from vitprobe.analyses.head_subsets import head_subsets
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.analyses.maps import maps
from vitprobe.analyses.merged import merge
from vitprobe.analyses.run import run

__all__ = [
    "AttentionReader",
    "CKAReader",
    "FinetuningReader",
    "HeadSubsetsReader",
    "attention",
    "cka",
    "compare_training",
    "features",
    "finetuning",
    "head_subsets",
    "maps",
    "merge",
    "run",
]
