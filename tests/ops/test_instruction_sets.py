"""The CPU kernel of every instruction set this processor has, not only the best one's."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
MODEL = Path(__file__).resolve().parents[1] / "csrc" / "amx"  # its instructions in software
COMPILER = os.environ.get("CXX", "c++")
SETS = ["base", "avx2", "avx512", "avx512_bf16", "amx_bf16", "amx_modelled"]
AVX512, DOTS = 2, [3, 4, 5]  # of SETS: what the dots are compared with, and those that have them
BF16 = 2  # number of the type in csrc/common/element.h

CALL = """
#include "cpu/product/panels.h"
#if VP_X86_TARGETS
namespace vitprobe::amx_modelled {
extern const PanelProduct kProduct;
}
#endif
using namespace vitprobe;

static const PanelProduct* product_of(int set) {
  if (set == 0) return &base::kProduct;
#if VP_X86_TARGETS
  if (set == 1 && has_avx2()) return &avx2::kProduct;
  if (set == 2 && has_avx512()) return &avx512::kProduct;
  if (set == 3 && has_avx512_bf16()) return &avx512_bf16::kProduct;
  if (set == 4 && has_amx_bf16()) return &amx_bf16::kProduct;
  if (set == 5 && has_avx512_bf16()) return &amx_modelled::kProduct;
#endif
  return nullptr;
}

extern "C" int64_t panel(int set, int wide) {
  return product_of(set) ? product_of(set)->panel[wide] : 0;
}

extern "C" void product(int set, int element, const void* a, int64_t rows, const void* b,
                        int64_t columns, int64_t k, int64_t stride, int symmetric,
                        int64_t first_tile, int64_t last_tile, double* tiles) {
  const Element type = static_cast<Element>(element);
  const RowSet left = {a, rows, k, stride, type}, right = {b, columns, k, stride, type};
  product_of(set)->add({left, right, symmetric != 0, symmetric != 0}, {0, ceil_div(k, kSlab)},
                       {first_tile, last_tile}, tiles);
}
"""


@pytest.fixture(scope="module", params=[COMPILER, "clang++"])
def library(request, tmp_path_factory):
    if not CSRC.is_dir() or shutil.which(request.param) is None:
        pytest.skip(f"needs the sources and {request.param}")
    folder = tmp_path_factory.mktemp("panels")
    (folder / "call.cpp").write_text(CALL)
    sources = [str(path) for path in sorted((CSRC / "cpu" / "product").glob("*.cpp"))]
    sources.append(str(MODEL / "kernel.cpp"))
    flags = ["-std=c++20", "-O1", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC"]
    target = str(folder / "panels.so")
    command = [request.param, *flags, f"-I{CSRC}", "call.cpp", *sources, "-o", target]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(target)


def product(library, which, a, b, element, k):
    """a b^T (rows, columns), or with b None the lower triangle of the shifted a's Gram matrix."""
    symmetric = b is None
    b = a if symmetric else b
    w = library.panel(which, int(element == 1))
    down, across = -(-len(a) // w), -(-len(b) // w)
    count = down * (down + 1) // 2 if symmetric else down * across
    tiles = np.zeros((count, w, w))
    for first, last in ((0, count // 3), (count // 3, count)):  # the tiles of two workers
        library.product(
            which,
            element,
            a.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(len(a)),
            b.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(len(b)),
            ctypes.c_int64(k),
            ctypes.c_int64(a.strides[0] // a.itemsize),
            int(symmetric),
            ctypes.c_int64(first),
            ctypes.c_int64(last),
            tiles[first:].ctypes.data_as(ctypes.c_void_p),
        )
    full = np.zeros((down * w, across * w))
    for i in range(down):
        for j in range(i + 1 if symmetric else across):
            tile = tiles[i * (i + 1) // 2 + j if symmetric else i * across + j]
            full[i * w : (i + 1) * w, j * w : (j + 1) * w] = tile
    return full[: len(a), : len(b)]


def stored(values, element):
    """float32 values as element 0..3 (f32, f64, bf16, f16), and exactly what is stored."""
    if element == BF16:
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    data = values.astype([np.float32, np.float64, None, np.float16][element])
    return data, data.astype(np.float64)


def centred(lower):
    """The lower triangle, given alone, less the means of the rows and columns of the whole."""
    whole = np.tril(lower) + np.tril(lower, -1).T
    means = whole.mean(0)
    return np.tril(whole - means - means[:, None] + means.mean())


def test_the_x86_sets_are_compiled(library):
    """What this processor has is there: no compiler leaves it out in silence."""
    cpu = Path("/proc/cpuinfo")
    flags = set(cpu.read_text().split()) if platform.machine() == "x86_64" and cpu.exists() else ()
    for which, flag in enumerate(["", "avx2", "avx512dq", "avx512_bf16"]):
        if flag in flags:
            assert library.panel(which, 0) > 0, flag


def test_the_instructions_of_amx_are_emitted(library):
    """No machine here runs them: that the kernel consists of them is read from the library."""
    if shutil.which("objdump") is None or platform.machine() != "x86_64":
        pytest.skip("needs objdump on x86-64")
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", library._name]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    functions = re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)+)", text, re.M)
    kernels = [body for name, body in functions if "::amx_bf16::" in name]
    found = Counter(
        re.findall(r"\b(ldtilecfg|tileloadd|tdpbf16ps|tilestored|tilerelease)\b", "".join(kernels))
    )
    # Kernels of 1, 2 and 3 sums: each sum and operand is loaded, each sum multiplied and stored.
    assert found == {
        "ldtilecfg": 1,
        "tileloadd": 15,
        "tdpbf16ps": 6,
        "tilestored": 6,
        "tilerelease": 1,
    }
    assert not any("tdpbf16ps" in body for name, body in functions if "::amx_bf16::" not in name)


def need(library, which):
    if not library.panel(which, 0):
        pytest.skip(f"this processor or compiler has no {SETS[which]}")


@pytest.mark.parametrize("element", range(4), ids=["f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("which", range(len(SETS)), ids=SETS)
def test_products(library, which, element):
    need(library, which)
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
        result = np.tril(product(library, which, a, None, element, k))
        if which in DOTS and element == BF16:  # its shift is not quite the mean
            result = centred(result)
        error = np.abs(result - expected).max()
        assert error <= tolerance * max(np.abs(expected).max(), 1e-6), (rows, k)


by_dots = pytest.mark.parametrize("which", DOTS, ids=[SETS[which] for which in DOTS])


def dots_and_widened(library, which, values):
    """Both kernels' Gram matrices of bfloat16 (n, p), and float64's, each centred."""
    x, exact = stored(np.ascontiguousarray(values, dtype=np.float32), BF16)
    dots, widened = (product(library, w, x, None, BF16, x.shape[1]) for w in (which, AVX512))
    exact = exact - exact.mean(0)
    return dots, widened, np.tril(exact @ exact.T)


def error(result, exact):
    return np.linalg.norm(centred(result) - exact) / np.linalg.norm(exact)


MEANS = {  # of columns, in standard deviations
    "none": 0.0,
    "as of a ReLU": 0.7,
    "one": 1.0,
    "large, exact": 40.0,
    "a few large": np.where(np.arange(700) % 17 == 0, 100.0, 0.1),
}


@pytest.mark.parametrize("n", [5, 64, 97])
@pytest.mark.parametrize("means", MEANS)
@by_dots
def test_dots_err_at_most_twice_the_widening_kernel(library, which, means, n):
    need(library, which)
    random = np.random.default_rng(1)
    signs = random.choice([-1, 1], 700)
    values = random.normal(0, 1, (n, 700)) + signs * MEANS[means]
    dots, widened, exact = dots_and_widened(library, which, values)
    assert not np.array_equal(dots, widened)  # the dots were taken
    assert error(dots, exact) < 2 * error(widened, exact) + 6e-8
    if n > 5:  # enough of them for a rate
        off = np.tril(np.ones((n, n), bool), -1)
        by_dots, by_widened = (np.linalg.norm((centred(r) - exact)[off]) for r in (dots, widened))
        assert by_dots < 1.1 * by_widened


def far_in_one_row(values):
    values += 40
    values[3] = 1.01e-3  # so that x - 40 is not a bfloat16 number
    return values


NOT_FOR_DOTS = {
    "means of two deviations": lambda values: values + 2,
    "one row far from all others": far_in_one_row,
    "products too small for the instruction": lambda values: values * 1e-20,
    "squares too large": lambda values: values * 1e25,
    "not finite": lambda values: np.where(np.eye(*values.shape, 5) == 1, np.inf, values),
}


@pytest.mark.parametrize("case", NOT_FOR_DOTS)
@by_dots
def test_slabs_that_the_dots_would_spoil_are_widened(library, which, case):
    need(library, which)
    values = NOT_FOR_DOTS[case](np.random.default_rng(2).normal(0, 1, (50, 300)))
    with np.errstate(invalid="ignore", over="ignore"):
        dots, widened, _ = dots_and_widened(library, which, values)
    assert np.array_equal(np.tril(dots), np.tril(widened), equal_nan=True)


@by_dots
def test_constant_columns_are_exact_zeros_by_dots(library, which):
    need(library, which)
    values = np.random.default_rng(3).normal(0, 1, (40, 256))
    values[:, 7] = 1e4  # less than one part in 256 of it would drown all others
    values[:, 8:200] = 0.1
    dots, widened, exact = dots_and_widened(library, which, values)
    assert not np.array_equal(dots, widened)
    assert error(dots, exact) < 3e-7
