"""The CPU kernel of every instruction set this processor has, not only the best one's."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
COMPILER = os.environ.get("CXX", "c++")
SETS = ["base", "avx2", "avx512"]

CALL = """
#include "cpu/product/panels.h"
namespace vitprobe {
namespace base { extern const PanelProduct kProduct; }
#if VP_X86_TARGETS
namespace avx2 { extern const PanelProduct kProduct; }
namespace avx512 { extern const PanelProduct kProduct; }
#endif
}
using namespace vitprobe;

static const PanelProduct* product_of(int set) {
  if (set == 0) return &base::kProduct;
#if VP_X86_TARGETS
  if (set == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &avx2::kProduct;
  if (set == 2 && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &avx512::kProduct;
#endif
  return nullptr;
}

extern "C" int64_t panel(int set, int wide) {
  return product_of(set) ? product_of(set)->panel[wide] : 0;
}

extern "C" void product(int set, int element, const void* a, int64_t rows, const void* b,
                        int64_t columns, int64_t k, int64_t stride, int symmetric, double* tiles) {
  const Element type = static_cast<Element>(element);
  product_of(set)->share({a, rows, k, stride, type}, {b, columns, k, stride, type}, symmetric,
                         symmetric, {0, ceil_div(k, kSlab)}, tiles);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if not CSRC.is_dir() or shutil.which(COMPILER) is None:
        pytest.skip("needs the sources and a C++ compiler")
    folder = tmp_path_factory.mktemp("panels")
    (folder / "call.cpp").write_text(CALL)
    sources = [str(path) for path in sorted((CSRC / "cpu" / "product").glob("*.cpp"))]
    flags = ["-std=c++20", "-O1", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC"]
    target = str(folder / "panels.so")
    command = [COMPILER, *flags, f"-I{CSRC}", "call.cpp", *sources, "-o", target]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(target)


def product(library, which, a, b, element, k):
    """a b^T (rows, columns), or with b None the lower triangle of the shifted a's Gram matrix."""
    symmetric = b is None
    b = a if symmetric else b
    w = library.panel(which, int(element == 1))
    down, across = -(-len(a) // w), -(-len(b) // w)
    tiles = np.zeros((down * (down + 1) // 2 if symmetric else down * across, w, w))
    library.product(
        which,
        element,
        a.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(len(a)),
        b.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int64(len(b)),
        ctypes.c_int64(k),
        ctypes.c_int64(a.shape[1]),
        int(symmetric),
        tiles.ctypes.data_as(ctypes.c_void_p),
    )
    full = np.zeros((down * w, across * w))
    for i in range(down):
        for j in range(i + 1 if symmetric else across):
            tile = tiles[i * (i + 1) // 2 + j if symmetric else i * across + j]
            full[i * w : (i + 1) * w, j * w : (j + 1) * w] = tile
    return full[: len(a), : len(b)]


def stored(values, element):
    """float32 values as element 0..3 (f32, f64, bf16, f16), and exactly what is stored."""
    if element == 2:
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    data = values.astype([np.float32, np.float64, None, np.float16][element])
    return data, data.astype(np.float64)


@pytest.mark.parametrize("element", range(4), ids=["f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("which", range(3), ids=SETS)
def test_products(library, which, element):
    if not library.panel(which, 0):
        pytest.skip(f"this processor or compiler has no {SETS[which]}")
    tolerance = 1e-12 if element == 1 else 2e-6
    random = np.random.default_rng(0)
    for rows, columns, k in [(1, 1, 1), (4, 5, 3), (37, 50, 255), (49, 97, 257), (100, 9, 1031)]:
        a, exact_a = stored(random.normal(1, 1, (rows, k + 3)).astype(np.float32), element)
        b, exact_b = stored(random.normal(1, 1, (columns, k + 3)).astype(np.float32), element)
        exact_a, exact_b = exact_a[:, :k], exact_b[:, :k]
        expected = exact_a @ exact_b.T
        error = np.abs(product(library, which, a, b, element, k) - expected).max()
        assert error < tolerance * np.abs(expected).max(), (rows, columns, k)
        shifted = exact_a - exact_a.mean(0)
        expected = np.tril(shifted @ shifted.T)
        error = np.abs(np.tril(product(library, which, a, None, element, k)) - expected).max()
        assert error <= tolerance * max(np.abs(expected).max(), 1e-6), (rows, k)
