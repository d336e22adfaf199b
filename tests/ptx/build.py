"""csrc/cuda compiled with nvcc to PTX, its host code linked with stand-ins for torch and CUDA."""

import hashlib
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from workers import jobs

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
STANDIN = Path(__file__).parent / "standin"
_TARGET = "arch=compute_80,code=compute_80"
# Device code as it is installed; host code quickly.
_FLAGS = ("-std=c++20", "-O3", "-Xcompiler", "-fPIC,-O0", "-DUSE_CUDA")
# Bound to the stand-in, also in a process into which torch has brought the real runtime.
_LINK = ("-shared", "-cudart", "none", "-Xlinker", "-Bsymbolic")
_TORCH = ("torch/csrc/stable/accelerator.h", "torch/csrc/stable/library.h",
          "torch/csrc/stable/macros.h", "torch/csrc/stable/ops.h", "torch/csrc/stable/tensor.h",
          "torch/headeronly/core/ScalarType.h", "torch/headeronly/util/Exception.h",
          "torch/headeronly/util/shim_utils.h")  # fmt: skip


@dataclass(frozen=True)
class Built:
    """library: the launchers; ptx: of each CUDA file, by its path below csrc; root: that csrc."""

    library: Path
    ptx: dict[str, Path]
    root: Path


def sources(csrc: Path) -> list[Path]:
    """CUDA files and launchers."""
    return sorted([*csrc.glob("cuda/**/*.cu"), *csrc.glob("cuda/**/*.cpp")])


def build(nvcc: str, cache: Path, csrc: Path = CSRC, only: str = "") -> Built:
    """Compiles what has not been compiled before, in one process at a time; `only`: files below
    this folder of csrc.

    Raises:
        ValueError: it does not compile; the message holds what the compiler said.
    """
    chosen = [path for path in sources(csrc) if path.relative_to(csrc).as_posix().startswith(only)]
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    own = [*(csrc / "cuda").rglob("*"), *(csrc / "common").rglob("*"), csrc / "ops.h"]
    folder = cache / _fingerprint(own, f"{version}{csrc}{only}{_FLAGS}")
    library = folder / f"launchers-{_fingerprint(STANDIN.rglob('*'), str(_LINK))}.so"
    with FileLock(cache / "lock"):
        if not library.exists():
            _build(nvcc, chosen, csrc, library)
            _forget(cache, folder)
    names = [path.relative_to(csrc) for path in chosen if path.suffix == ".cu"]
    ptx = {name.as_posix(): _object(folder, csrc / name).with_suffix(".ptx") for name in names}
    return Built(library, ptx, csrc)


def _build(nvcc: str, chosen: list[Path], csrc: Path, library: Path) -> None:
    folder = library.parent
    for name in _TORCH:
        header = folder / "include" / name
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text('#include "torch.h"\n')
    with ThreadPoolExecutor(jobs()) as pool:
        files = [*chosen, STANDIN / "runtime.cpp"]
        objects = list(pool.map(lambda path: _compile(nvcc, path, csrc, folder), files))
    _run(nvcc, *_LINK, *objects, "-o", library.with_suffix(".made"))
    library.with_suffix(".made").rename(library)


def _forget(cache: Path, kept: Path) -> None:
    """Removes what was compiled of other sources and has not been touched for a day."""
    for folder in cache.iterdir():
        if folder.is_dir() and folder != kept and time.time() - folder.stat().st_mtime > 86400:
            shutil.rmtree(folder, ignore_errors=True)


def _object(folder: Path, path: Path) -> Path:
    return folder / path.parent.name / f"{path.stem}.o"


def _compile(nvcc: str, path: Path, csrc: Path, folder: Path) -> Path:
    out = _object(folder, path)
    out.parent.mkdir(parents=True, exist_ok=True)
    words = [*_FLAGS, f"-I{csrc}", f"-I{STANDIN}", f"-I{folder / 'include'}"]
    if path.suffix == ".cu":
        if out.exists():
            return out
        # Kept: what is made on the way to the object, the PTX among it.
        words += ["-gencode", _TARGET, "-lineinfo", "--keep", "--keep-dir", out.parent]
    _run(nvcc, *words, "-c", path, "-o", out.with_suffix(".made"))
    return out.with_suffix(".made").rename(out)


def _run(*words) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=600
    )
    if done.returncode != 0:
        raise ValueError(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def _fingerprint(files, more: str = "") -> str:
    found = hashlib.sha256(more.encode())
    for path in sorted(path for path in files if path.is_file()):
        found.update(f"{path.name}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]
