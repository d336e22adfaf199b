"""Builds the kernels: vitprobe/_C (operators, CPU) and, where it can, vitprobe/_C_cuda.

VITPROBE_CUDA=auto|1|0     auto (default): if torch has CUDA and an nvcc of its version is there
TORCH_CUDA_ARCH_LIST       GPU architectures, as for any torch extension; those before 8.0 are
                           dropped
MAX_JOBS                   compilers that run at once

Both libraries use torch's stable C interface only, so that one build serves every torch >= 2.11.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch
from setuptools import setup
from torch.utils import cpp_extension

ROOT = Path(__file__).resolve().parent
TORCH_FLOOR = "0x020b000000000000"  # 2.11: the oldest torch that the libraries load in
ARCHITECTURES = ("8.0", "9.0a", "10.0", "12.0")  # of these, those that nvcc knows
OLDEST = (8, 0)  # with cp.async, bfloat16 and TF32 on the matrix unit

CXX_FLAGS = [
    "-O3",
    "-g0",
    "-ffp-contract=fast",
    "-fopenmp-simd",
    "-fvisibility=hidden",
    "-Wno-psabi",
]
NVCC_FLAGS = ["-O3", "--threads=2"]


def sources(*patterns):
    return sorted(str(path.relative_to(ROOT)) for p in patterns for path in ROOT.glob(p))


def find_nvcc(major):
    """The first nvcc of this CUDA major version, and what was looked at: (path or None, notes)."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    site_packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path}
    candidates = [
        os.path.join(home, "bin", "nvcc") if home else None,
        shutil.which("nvcc"),
        *(os.path.join(path, "nvidia", f"cu{major}", "bin", "nvcc") for path in site_packages),
    ]
    notes = []
    for nvcc in candidates:
        if not nvcc or not os.access(nvcc, os.X_OK):
            continue
        found = re.search(r"release (\d+)\.(\d+)", output_of([nvcc, "--version"]))
        if found and found[1] == major:
            return nvcc, notes
        notes.append(f"{nvcc} is CUDA {found[1]}.{found[2]}" if found else f"{nvcc} does not run")
    return None, notes


def output_of(command, **kwargs):
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs
    )
    return result.stdout if result.returncode == 0 else ""


def toolkit_of(nvcc):
    """The toolkit's folder, by nvcc's own account: on the PATH it may be a link or a script."""
    top = re.search(r"^#\$ TOP=(.*)$", output_of([nvcc, "--dryrun", "-E", "-x", "cu", "-"]), re.M)
    return os.path.realpath(top[1]) if top else os.path.dirname(os.path.dirname(nvcc))


def why_not_compile(nvcc, libraries):
    """One line, if a small program cannot be compiled and linked with this nvcc; else ''."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cu")
        source.write_text("__global__ void f() {}\nint main() { f<<<1, 1>>>(); }\n")
        done = subprocess.run(
            [nvcc, "-o", "probe", str(source), "-cudart", "static", *(f"-L{p}" for p in libraries)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    lines = [line for line in done.stdout.splitlines() if "error" in line] or ["it fails"]
    return "" if done.returncode == 0 else lines[0].strip()


def find_cuda():
    """How CUDA is built, as a dict, and why it is not: exactly one of them is empty."""
    wish = os.environ.get("VITPROBE_CUDA", "auto")
    if wish not in ("0", "1", "auto"):
        raise SystemExit(f"vitprobe: VITPROBE_CUDA is 0, 1 or auto, not {wish!r}")
    if wish == "0":
        return {}, "VITPROBE_CUDA=0"
    cuda, why = look_for_cuda()
    if wish == "1" and why:
        raise SystemExit(f"vitprobe: VITPROBE_CUDA=1, but the CUDA kernels cannot be built: {why}")
    return cuda, why


def look_for_cuda():
    if torch.version.cuda is None:
        return {}, f"torch {torch.__version__} has no CUDA"
    major = torch.version.cuda.split(".")[0]
    nvcc, notes = find_nvcc(major)
    if nvcc is None:
        wanted = f"no nvcc of CUDA {major} (CUDA_HOME, PATH, cuda-toolkit[nvcc,cccl])"
        return {}, "; ".join([wanted, *notes])
    home = toolkit_of(nvcc)
    libraries = [os.path.join(home, name) for name in ("lib64", "lib")]
    why = why_not_compile(nvcc, libraries)
    if why:
        return {}, f"{nvcc}: {why}"
    given = os.environ.get("TORCH_CUDA_ARCH_LIST", "").strip()
    if not given or (given == "native" and torch.cuda.device_count() == 0):
        wanted, dropped = default_architectures(nvcc), []
    else:
        try:
            wanted, dropped = given_architectures()
        except ValueError as error:  # torch's word for a name that it does not know
            return {}, f"TORCH_CUDA_ARCH_LIST={given}: {error}"
    if not wanted:
        return {}, f"TORCH_CUDA_ARCH_LIST={given} has nothing from 8.0 on, which the kernels need"
    version = re.search(r"release [\d.]+, V([\d.]+)", output_of([nvcc, "--version"]))[1]
    cuda = {"nvcc": nvcc, "home": home, "version": version, "libraries": libraries}
    return cuda | {"architectures": ";".join(wanted), "dropped": ";".join(dropped)}, ""


def given_architectures():
    """TORCH_CUDA_ARCH_LIST as torch reads it, `7.5 Hopper` or `8.0;9.0a+PTX`: what the kernels can
    be built for, and what not."""
    flags = [
        re.fullmatch(r"-gencode=arch=compute_(\d+)(\d)([a-z]?),code=(sm|compute)_\w+", flag)
        for flag in cpp_extension._get_cuda_arch_flags()
    ]
    codes = {}
    for flag in flags:
        codes.setdefault((int(flag[1]), int(flag[2]), flag[3]), set()).add(flag[4])
    names = {
        each: f"{each[0]}.{each[1]}{each[2]}{'+PTX' if 'compute' in codes[each] else ''}"
        for each in sorted(codes)
    }
    fits = {each: each[:2] >= OLDEST for each in names}
    return [names[e] for e in names if fits[e]], [names[e] for e in names if not fits[e]]


def default_architectures(nvcc):
    """Ours, as far as nvcc knows them, and PTX of the oldest for GPUs that are none of these."""
    known = output_of([nvcc, "--list-gpu-arch"]).split()
    names = [a for a in ARCHITECTURES if f"compute_{a.replace('.', '').rstrip('a')}" in known]
    return [f"{names[0]}+PTX", *names[1:]]


def instruction_sets():
    """Those that the CPU kernels are compiled for; which of them runs is chosen at run time."""
    command = [cpp_extension.get_cxx_compiler(), "-E", "-P", "-x", "c++", f"-I{ROOT / 'csrc'}", "-"]
    header = '#include "cpu/vector/instruction_set.h"\nVP_X86_TARGETS\n'
    try:
        x86 = output_of(command, input=header).split()[-1:] == ["1"]
    except OSError:  # no such compiler: the build itself says so
        x86 = False
    found = [path.stem for path in sorted(ROOT.glob("csrc/cpu/product/*.cpp"))]
    return [name for name in found if name == "base" or (x86 and name.startswith(("avx", "amx")))]


def cpu_extension():
    return cpp_extension.CppExtension(
        "vitprobe._C",
        sources("csrc/*.cpp", "csrc/cpu/**/*.cpp"),
        include_dirs=[str(ROOT / "csrc")],
        define_macros=[("TORCH_TARGET_VERSION", TORCH_FLOOR)],
        extra_compile_args={"cxx": CXX_FLAGS},
        py_limited_api=True,
    )


def cuda_extension(cuda):
    cpp_extension.CUDA_HOME = cuda["home"]  # torch takes the folder above the nvcc on the PATH
    extension = cpp_extension.CUDAExtension(
        "vitprobe._C_cuda",
        sources("csrc/cuda/**/*.cpp", "csrc/cuda/**/*.cu"),
        include_dirs=[str(ROOT / "csrc")],
        define_macros=[("TORCH_TARGET_VERSION", TORCH_FLOOR), ("USE_CUDA", None)],
        library_dirs=cuda["libraries"],
        extra_compile_args={"cxx": CXX_FLAGS, "nvcc": NVCC_FLAGS},
        extra_link_args=["-lcudart_static", "-lrt", "-ldl", "-lpthread"],
        py_limited_api=True,
    )
    # torch's wheels bring no libcudart.so to link; the static runtime also leaves one need less.
    for name in ("cudart", "c10_cuda"):
        if name in extension.libraries:
            extension.libraries.remove(name)
    return extension


class Build(cpp_extension.BuildExtension):
    """Builds, then leaves what was built beside the libraries: vitprobe/_build.json."""

    def run(self):
        super().run()
        folder = Path(self.get_ext_fullpath("vitprobe._C")).parent
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "_build.json").write_text(json.dumps(BUILT, indent=2) + "\n")
        print(SUMMARY)


cuda, why_not = find_cuda()
extensions = [cpu_extension()]
if cuda:
    os.environ["TORCH_CUDA_ARCH_LIST"] = cuda["architectures"]
    extensions.append(cuda_extension(cuda))

BUILT = {
    "torch": torch.__version__,
    "instruction_sets": ", ".join(instruction_sets()),
    "cuda": cuda.get("version"),
    "architectures": cuda.get("architectures"),
    "dropped_architectures": cuda.get("dropped") or None,
    "why_no_cuda": why_not or None,
}
SUMMARY = (
    f"vitprobe: built with torch {BUILT['torch']}: the CPU kernels ({BUILT['instruction_sets']}), "
) + (
    f"and the CUDA kernels by {cuda['nvcc']} ({BUILT['cuda']}) for {BUILT['architectures']}"
    + (f" (without {cuda['dropped']}: the kernels need 8.0 or later)" if cuda["dropped"] else "")
    if cuda
    else f"but not the CUDA kernels: {why_not}"
)

setup(
    ext_modules=extensions,
    cmdclass={"build_ext": Build},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
