"""What a process of `forked.py` has imported before it begins."""

import pkgutil
from contextlib import suppress
from importlib import import_module

import h5netcdf  # noqa: F401

from vitprobe import analyses, cli, figures, training  # noqa: F401
from vitprobe.data import load_data

for package in (cli, figures):
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
with suppress(ImportError):
    import torch.utils.tensorboard  # noqa: F401
load_data("digits")  # and what that imports
