"""Finding and loading the compiled libraries, and saying which devices have kernels."""

import ctypes
import importlib.util
import json
import re
import warnings
from functools import cache
from pathlib import Path

import torch

from vitprobe.errors import VitprobeWarning
from vitprobe.ops.variants import KERNELS, SIMPLE, forced_kernel, tune_mode

_NEVER_BUILT = "it was never built; run `pip install .`"


def build_record() -> dict:
    """What `setup.py` built, or `{}` in a checkout that was never built."""
    path = Path(__file__).resolve().parents[1] / "_build.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def library_file(name: str) -> Path | None:
    """Where a compiled library is, or None."""
    spec = importlib.util.find_spec(f"vitprobe.{name}")
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _load(name: str) -> str:
    """Load a compiled library; '' or, in one line, why it cannot be."""
    path = library_file(name)
    if path is None:
        return _NEVER_BUILT
    try:
        torch.ops.load_library(path)
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
    known, built_for = driver_version(), record["cuda"]
    if _major(torch.version.cuda) != _major(built_for):
        return f"built for CUDA {built_for}, but this torch is of CUDA {torch.version.cuda}"
    if known is not None and known[0] < _major(built_for):
        return f"built for CUDA {built_for}, but the driver only knows CUDA {known[0]}.{known[1]}"
    return _load("_C_cuda")


def _major(version: str) -> int:
    return int(version.split(".")[0])


def why_no_image(index: int) -> str:
    """Load the CUDA kernels; '' or why none of them runs on this GPU: it is older than sm_80, or
    not among those that they were compiled for."""
    if index >= torch.cuda.device_count():
        return "there is no such GPU"
    library = ctypes.CDLL(str(library_file("_C_cuda")))
    library.vitprobe_why_no_image.restype = ctypes.c_char_p
    why = library.vitprobe_why_no_image(index).decode()
    major, minor = torch.cuda.get_device_capability(index)
    name = f"{torch.cuda.get_device_name(index)}, sm_{major}{minor}"
    return why and f"{name}; built for {build_record().get('architectures')}: {why}"


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the GPU driver knows, or None without a driver."""
    try:
        version = ctypes.c_int()
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except OSError:
        return None
    return version.value // 1000, version.value % 1000 // 10


def driver() -> str:
    """The GPU driver's own version and the newest CUDA that it knows, as far as they can be told:
    `580.65.06, CUDA 13.0`."""
    words, version = [], driver_version()
    try:
        line = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
        words += re.findall(r"\b\d+\.\d+(?:\.\d+)?\b", line)[:1]
    except (OSError, IndexError):
        pass
    if version is not None:
        words.append(f"CUDA {version[0]}.{version[1]}")
    return ", ".join(words)


def why_no_kernels(device: torch.device) -> str:
    """'' if this device has kernels, else why not, in one line."""
    if device.type == "cpu":
        return why_no_cpu()
    if device.type == "cuda":
        return why_no_cuda() or why_no_image(_index(device))
    return "there are none for this kind of device"


def _index(device: torch.device) -> int:
    """Of a CUDA device; of one without a number, the current one's."""
    if device.index is not None:
        return device.index
    return torch.cuda.current_device() if torch.cuda.is_available() else 0


_known: dict[torch.device, bool] = {}


def has_kernels(device: torch.device) -> bool:
    """Whether this device has kernels; if not, one warning, once for each."""
    if device not in _known:
        why = why_no_kernels(device)
        _known[device] = not why
        if why:
            warnings.warn(
                f"no vitprobe kernels for {device} ({why}); the slower PyTorch reference runs",
                VitprobeWarning,
                stacklevel=5,  # whoever called the operator
            )
    return _known[device]


def kernel_status() -> dict:
    """What was built, what is loaded and why not; for `vitprobe info`.

    Returns a dict: `build` (what setup.py recorded: torch, cuda, architectures,
    why_no_cuda; empty if never built), `driver` (CUDA version of the GPU driver or None),
    `cpu` and `cuda`, each "loaded" or the reason why the reference runs instead, and
    `cuda_kernels` (operator -> which of its CUDA kernels runs on a GPU that has them: "simple",
    "fast" or "reference" where the environment says so, else "proved": see
    `vitprobe.ops.chosen_kernels`).

    Raises:
        InputError: an environment variable says what it cannot.
    """
    version = driver_version()
    unforced = SIMPLE if tune_mode() == "0" else "proved"
    return {
        "build": build_record(),
        "driver": f"{version[0]}.{version[1]}" if version else None,
        "cpu": why_no_cpu() or "loaded",
        "cuda": why_no_cuda() or "loaded",
        "cuda_kernels": {
            name: forced_kernel(name, (kernels.fast or kernels.types)[0]) or unforced
            for name, kernels in KERNELS.items()
        },
    }
