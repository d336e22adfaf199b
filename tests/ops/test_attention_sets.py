"""The CPU kernel of attention_statistics for every instruction set this processor has."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from vitprobe.ops import reference_attention as reference

CSRC = Path(__file__).resolve().parents[2] / "csrc"
COMPILER = os.environ.get("CXX", "c++")
SETS = ["base", "avx2", "avx512"]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]  # in the order of Element

CALL = """
#include "cpu/attention/rows.h"
using namespace vitprobe;

static const AttentionRows* rows_of(int set) {
  if (set == 0) return &base::kAttention;
#if VP_X86_TARGETS
  if (set == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &avx2::kAttention;
  if (set == 2 && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &avx512::kAttention;
#endif
  return nullptr;
}

extern "C" int has(int set) { return rows_of(set) != nullptr; }

extern "C" void attention(int set, int element, const void* q, const void* k, int64_t heads,
                          int64_t tokens, int64_t depth, double scale, int64_t rows,
                          int64_t columns, int64_t prefix, const void* bias,
                          const void* distances, void* class_row, int64_t shares,
                          AttentionSums* sums) {
  AttentionInput in = {};
  in.q = q;
  in.k = k;
  in.type = static_cast<Element>(element);
  in.images = 1;
  in.heads = in.key_heads = heads;
  in.tokens = tokens;
  in.depth = depth;
  in.q_stride[1] = in.k_stride[1] = tokens * depth;
  in.q_stride[2] = in.k_stride[2] = depth;
  in.scale = scale;
  in.rows = rows;
  in.columns = columns;
  in.prefix = prefix;
  in.bias = bias;
  in.bias_stride[1] = tokens * tokens;
  in.bias_stride[2] = tokens;
  in.bias_stride[3] = 1;
  in.distances = distances;
  in.class_row = class_row;
  rows_of(set)->run(in, shares, {0, heads * shares}, sums);
}
"""

EXP = """
#include <cstdint>
#include <new>
#include <utility>
#if VP_VECTOR == 32
#pragma GCC target("avx2,fma")
#elif VP_VECTOR == 64
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#define VP_ISA here
#include "common/element.h"
#include "cpu/vector/vectors.h"
#include "cpu/vector/exp.h"
using namespace vitprobe::here;

template <class T>
static void exp_all(int64_t count, T* x) {  // a whole number of vectors
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    const Vector<T> y = exp_of<T>(load(x + i));
    __builtin_memcpy(x + i, &y, sizeof y);
  }
}

extern "C" void exp_float(int64_t count, float* x) { exp_all(count, x); }
extern "C" void exp_double(int64_t count, double* x) { exp_all(count, x); }
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """compiled(name, code, *words) -> the library of this code, sources and options in `words`."""
    if not CSRC.is_dir() or shutil.which(COMPILER) is None:
        pytest.skip("needs the sources and a C++ compiler")

    def build(name, code, *words):
        folder = tmp_path_factory.mktemp(name)
        (folder / "code.cpp").write_text(code)
        flags = ["-std=c++20", "-O1", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC"]
        command = [COMPILER, *flags, f"-I{CSRC}", "code.cpp", *words, "-o", "library.so"]
        subprocess.run(command, cwd=folder, check=True)
        return ctypes.CDLL(str(folder / "library.so"))

    return build


@pytest.fixture(scope="module")
def library(compiled):
    sets = ("base", "avx2", "avx512")
    sources = [str(CSRC / "cpu" / "attention" / f"{name}.cpp") for name in sets]
    return compiled("attention", CALL, *sources)


def attention(library, which, q, k, scale, grid, prefix, bias, shares):
    """The five statistics (5, H) and the class row (H, T) of q, k (1, H, T, D), in float64."""
    _, heads, tokens, depth = q.shape
    kind = np.float64 if q.dtype == torch.float64 else np.float32
    rows, columns = grid
    y, x = np.arange(rows)[:, None], np.arange(1 - columns, columns)
    distances = np.hypot(y, x).astype(kind)
    row = np.full((heads, tokens), np.nan, kind)
    sums = np.full((heads, shares, 5), np.nan)
    arrays = [bias.numpy().astype(kind), distances, row, sums]
    addresses = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
    library.attention(
        which,
        DTYPES.index(q.dtype),
        ctypes.c_void_p(q.data_ptr()),
        ctypes.c_void_p(k.data_ptr()),
        *map(ctypes.c_int64, (heads, tokens, depth)),
        ctypes.c_double(scale),
        *map(ctypes.c_int64, (rows, columns, prefix)),
        *addresses[:3],
        ctypes.c_int64(shares),
        addresses[3],
    )
    sums[:, :, 4] = sums.view(np.int64)[:, :, 4]
    raw, distance, mass, entropy, left_out = sums.sum(1).T
    patches = rows * columns
    means = [raw / patches, distance / (patches - left_out), mass / patches, entropy / patches]
    return np.stack([*means, left_out]), row.astype(np.float64)


@pytest.mark.parametrize("dtype", DTYPES, ids=["f32", "f64", "bf16", "f16"])
@pytest.mark.parametrize("which", range(3), ids=SETS)
def test_statistics(library, which, dtype):
    if not library.has(which):
        pytest.skip(f"this processor or compiler has no {SETS[which]}")
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    generator = torch.Generator().manual_seed(0)
    for heads, grid, prefix, depth, shares in [
        (1, (1, 1), 0, 1, 1),
        (3, (1, 37), 3, 5, 2),
        (2, (29, 1), 8, 33, 1),
        (2, (9, 7), 1, 64, 3),
        (1, (21, 33), 20, 130, 4),
    ]:
        tokens = prefix + grid[0] * grid[1]
        shape = (1, heads, tokens, depth)
        q, k = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
        bias = torch.randn(1, heads, tokens, tokens, generator=generator).double()
        bias = bias.masked_fill_(bias > 1, -torch.inf)
        result, row = attention(library, which, q, k, 0.2, grid, prefix, bias, shares)
        expected, expected_row = reference.attention_statistics(
            q.double(), k.double(), 0.2, *grid, prefix, bias, 1.0, 1.0, True
        )
        np.testing.assert_allclose(result, expected[:, 0], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(row, expected_row[0], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("which", range(3), ids=SETS)
def test_exp(library, compiled, which):
    """Relative errors, down to where the result is no longer a normal number."""
    if not library.has(which):
        pytest.skip(f"this processor or compiler has no {SETS[which]}")
    exp = compiled("exp", EXP, f"-DVP_VECTOR={16 << which}")
    random = np.random.default_rng(0)
    for call, kind, lowest, bound in (
        (exp.exp_float, np.float32, -87.0, 2e-7),
        (exp.exp_double, np.float64, -708.0, 4e-16),
    ):
        x = np.concatenate([[0, lowest], -np.exp(random.uniform(-9, np.log(-lowest), 1 << 16))])
        x = np.resize(x, 1 << 16).astype(kind)
        y = np.append(x, [kind(np.nan)] * 16)
        call(ctypes.c_int64(len(y)), y.ctypes.data_as(ctypes.c_void_p))
        exact = np.exp(x.astype(np.longdouble))
        assert np.abs(y[:-16] / exact - 1).max() < bound
        assert y[0] == 1
        assert np.isnan(y[-16:]).all()
