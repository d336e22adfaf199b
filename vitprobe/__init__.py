"""How a vision model sees, layer by layer, and how two of them differ.

>>> import vitprobe
>>> result = vitprobe.cka("vit", "resnet18", examples=64)  # an xarray.Dataset
>>> figure = vitprobe.plot(result)
"""

import sys
from importlib import import_module

__version__ = "0.1.0"

# Loaded when first asked for: `vitprobe --help` need not wait for torch.
_HOMES = {
    "AttentionReader": "vitprobe.analyses",
    "CKAReader": "vitprobe.analyses",
    "CompareReader": "vitprobe.analyses",
    "DominantReader": "vitprobe.analyses",
    "FinetuningReader": "vitprobe.analyses",
    "HeadSubsetsReader": "vitprobe.analyses",
    "LocalizationReader": "vitprobe.analyses",
    "MeasuresReader": "vitprobe.analyses",
    "PaperReader": "vitprobe.analyses",
    "ProbeReader": "vitprobe.analyses",
    "Reader": "vitprobe.passes",
    "ReceptiveFieldReader": "vitprobe.analyses",
    "SkipsReader": "vitprobe.analyses",
    "attention": "vitprobe.analyses",
    "cka": "vitprobe.analyses",
    "cka_features": "vitprobe.analyses",
    "compare": "vitprobe.analyses",
    "compare_results": "vitprobe.analyses",
    "compare_training": "vitprobe.analyses",
    "data_size": "vitprobe.analyses",
    "dominant": "vitprobe.analyses",
    "features": "vitprobe.analyses",
    "finetuning": "vitprobe.analyses",
    "head_subsets": "vitprobe.analyses",
    "load_data": "vitprobe.data",
    "load_matrix": "vitprobe.analyses",
    "load_model": "vitprobe.models",
    "load_result": "vitprobe.analyses",
    "localization": "vitprobe.analyses",
    "maps": "vitprobe.analyses",
    "match_layers": "vitprobe.analyses",
    "merge": "vitprobe.analyses",
    "model_size": "vitprobe.analyses",
    "page": "vitprobe.report",
    "paper": "vitprobe.analyses",
    "plot": "vitprobe.figures",
    "probe": "vitprobe.analyses",
    "probe_features": "vitprobe.probes",
    "receptive_field": "vitprobe.analyses",
    "run": "vitprobe.analyses",
    "similarity": "vitprobe.measures",
    "skips": "vitprobe.analyses",
    "survey": "vitprobe.taps",
    "train": "vitprobe.training",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'vitprobe' has no attribute {name!r}")
    import_module("vitprobe.accessor")  # `result.vitprobe`
    return getattr(import_module(_HOMES[name]), name)


def __dir__():
    return sorted([*globals(), *__all__])


if "xarray" in sys.modules:  # `xarray.open_dataset(file).vitprobe`, before anything else is used
    import_module("vitprobe.accessor")
