"""Finding and loading the compiled libraries, and saying which devices have kernels."""

import ctypes
import importlib.util
import json
import warnings
from functools import cache
from pathlib import Path

import torch

from vitprobe.errors import VitprobeWarning
from vitprobe.ops.variants import CUDA_KERNELS, chosen_kernel

_NEVER_BUILT = "it was never built; run `pip install .`"


def build_record() -> dict:
    """What `setup.py` built, or `{}` in a checkout that was never built."""
    path = Path(__file__).resolve().parents[1] / "_build.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _load(name: str) -> str:
    """Load a compiled library; '' or, in one line, why it cannot be."""
    spec = importlib.util.find_spec(f"vitprobe.{name}")
    if spec is None or spec.origin is None:
        return _NEVER_BUILT
    try:
        torch.ops.load_library(spec.origin)
    except OSError as error:
        return f"it does not load: {str(error).splitlines()[0]}"
    return ""


@cache
def why_no_cpu() -> str:
    """Load the CPU kernels once; '' or why they cannot be used."""
    return _load("_C")


@cache
def why_no_cuda() -> str:
    """Load the CUDA kernels once, where torch has CUDA; '' or why they cannot be used."""
    if torch.version.cuda is None:
        return "this torch has no CUDA"
    if why_no_cpu():
        return why_no_cpu()
    record = build_record()
    if not record:
        return _NEVER_BUILT
    if record["cuda"] is None:
        return f"not built: {record['why_no_cuda']}"
    driver, built_for = driver_version(), record["cuda"]
    if driver is not None and driver[0] < int(built_for.split(".")[0]):
        return f"built for CUDA {built_for}, but the driver only knows CUDA {driver[0]}.{driver[1]}"
    return _load("_C_cuda")


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the GPU driver knows, or None without a driver."""
    try:
        version = ctypes.c_int()
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except OSError:
        return None
    return version.value // 1000, version.value % 1000 // 10


def why_no_kernels(device_type: str) -> str:
    """'' if this kind of device has kernels, else why not, in one line."""
    if device_type == "cpu":
        return why_no_cpu()
    if device_type == "cuda":
        return why_no_cuda()
    return "there are none for this kind of device"


_known: dict[str, bool] = {}


@torch.compiler.assume_constant_result  # torch.compile takes the answer, not the code behind it
def has_kernels(device_type: str) -> bool:
    """Whether this kind of device has kernels; if not, one warning, once for each kind."""
    if device_type not in _known:
        why = why_no_kernels(device_type)
        _known[device_type] = not why
        if why:
            warnings.warn(
                f"no vitprobe kernels for {device_type} ({why}); the slower PyTorch reference runs",
                VitprobeWarning,
                stacklevel=3,
            )
    return _known[device_type]


def kernel_status() -> dict:
    """What was built, what is loaded and why not; for `vitprobe info`.

    Returns a dict: `build` (what setup.py recorded: torch, cuda, architectures,
    why_no_cuda; empty if never built), `driver` (CUDA version of the GPU driver or None),
    `cpu` and `cuda`, each "loaded" or the reason why the reference runs instead, and
    `cuda_kernels` (operator -> which of its CUDA kernels runs: "simple" or "fast").
    """
    driver = driver_version()
    return {
        "build": build_record(),
        "driver": f"{driver[0]}.{driver[1]}" if driver else None,
        "cpu": why_no_cpu() or "loaded",
        "cuda": why_no_cuda() or "loaded",
        "cuda_kernels": {name: chosen_kernel(name) for name in CUDA_KERNELS},
    }
