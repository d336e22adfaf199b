"""Models and data in, one labelled result (`xarray.Dataset`) out: one file per analysis."""

from vitprobe.analyses.attention import attention
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka import cka
from vitprobe.analyses.cka_features import cka_features
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.compare import compare
from vitprobe.analyses.compare_reader import CompareReader
from vitprobe.analyses.compare_results import compare_results
from vitprobe.analyses.compare_training import compare_training
from vitprobe.analyses.data_size import data_size
from vitprobe.analyses.dominant import dominant
from vitprobe.analyses.dominant_reader import DominantReader
from vitprobe.analyses.features import features
from vitprobe.analyses.finetuning import finetuning
from vitprobe.analyses.finetuning_reader import FinetuningReader
from vitprobe.analyses.head_subsets import head_subsets
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.analyses.load_matrix import load_matrix
from vitprobe.analyses.load_result import load_result
from vitprobe.analyses.localization import localization
from vitprobe.analyses.localization_reader import LocalizationReader
from vitprobe.analyses.maps import maps
from vitprobe.analyses.matching import match_layers
from vitprobe.analyses.measures import MeasuresReader
from vitprobe.analyses.merged import merge
from vitprobe.analyses.model_size import model_size
from vitprobe.analyses.paper import paper
from vitprobe.analyses.paper_reader import PaperReader
from vitprobe.analyses.probe import probe
from vitprobe.analyses.probe_reader import ProbeReader
from vitprobe.analyses.receptive_field import receptive_field
from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
from vitprobe.analyses.run import run
from vitprobe.analyses.skips import skips
from vitprobe.analyses.skips_reader import SkipsReader

__all__ = [
    "AttentionReader",
    "CKAReader",
    "CompareReader",
    "DominantReader",
    "FinetuningReader",
    "HeadSubsetsReader",
    "LocalizationReader",
    "MeasuresReader",
    "PaperReader",
    "ProbeReader",
    "ReceptiveFieldReader",
    "SkipsReader",
    "attention",
    "cka",
    "cka_features",
    "compare",
    "compare_results",
    "compare_training",
    "data_size",
    "dominant",
    "features",
    "finetuning",
    "head_subsets",
    "load_matrix",
    "load_result",
    "localization",
    "maps",
    "match_layers",
    "merge",
    "model_size",
    "paper",
    "probe",
    "receptive_field",
    "run",
    "skips",
]
