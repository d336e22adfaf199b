// The code behind panels.h. No include guard: each cpu/product/*.cpp includes it once, after
// choosing an instruction set and defining VP_ISA (a namespace), VP_VECTOR (bytes of a register)
// and VP_ROWS x VP_VECTORS (accumulators of the micro-kernel). Includes nothing that it could
// compile for that instruction set by accident.

#include "cpu/vector/vectors.h"

namespace vitprobe {
namespace VP_ISA {

template <class T> constexpr int kPanel = VP_VECTORS * kLanes<T>;
constexpr int kRows = VP_ROWS;

// ---- packing: rows -> panels, panel[k][row]
// The shift is the column mean, taken relative to the first row: a constant column gives zeros.

template <class T, class In> void pack(const RowSet& x, Range columns, bool shift, T* panels) {
  constexpr int L = kLanes<T>, W = kPanel<T>;
  const In* data = static_cast<const In*>(x.data) + columns.begin;
  const int64_t depth = columns.end - columns.begin;
  const int64_t groups = (x.rows + L - 1) / L;  // of L rows, one vector of a panel each
  alignas(64) T sums[kSlab] = {};

  for (int64_t group = 0; group < groups; ++group) {
    T* panel = panels + group / VP_VECTORS * W * kSlab + group % VP_VECTORS * L;
    const int64_t first = group * L;
    const int64_t present = x.rows - first < L ? x.rows - first : L;
    for (int64_t k = 0; k < depth; k += L) {
      const int64_t width = depth - k < L ? depth - k : L;
      const In* corner = data + first * x.stride + k;
      Vector<T> square[L] = {};
      Vector<T> sum = load(sums + k), pivot = {};
      if (present == L && width == L) {
        if (shift) pivot = load(data + k);
#pragma GCC unroll 16
        for (int r = 0; r < L; ++r) square[r] = load(corner + r * x.stride) - pivot;
      } else {
        if (shift) pivot = load_part<T>(data + k, width);
        for (int r = 0; r < present; ++r) {
          square[r] = load_part<T>(corner + r * x.stride, width) - pivot;
        }
      }
      if (shift) {
#pragma GCC unroll 16
        for (int r = 0; r < L; ++r) sum += square[r];
        __builtin_memcpy(sums + k, &sum, sizeof sum);
      }
      transpose<T>(square);
#pragma GCC unroll 16
      for (int c = 0; c < L; ++c) {  // columns past the last lie within the slab, unused
        __builtin_memcpy(panel + (k + c) * W, &square[c], sizeof square[c]);
      }
    }
  }

  if (shift) {
    const T share = T(1) / static_cast<T>(x.rows);
    for (int64_t group = 0; group < groups; ++group) {
      T* values = panels + group / VP_VECTORS * W * kSlab + group % VP_VECTORS * L;
      for (int64_t k = 0; k < depth; ++k, values += W) {
        const Vector<T> shifted = load(values) - sums[k] * share;
        __builtin_memcpy(values, &shifted, sizeof shifted);
      }
    }
  }
}

// ---- multiplying: tile[r][c] += sum over k of a[k][r] b[k][c], for kRows rows and N vectors

template <class T, int N>
inline void micro_kernel(int64_t depth, const T* a, const T* b, double* tile) {
  constexpr int L = kLanes<T>, W = kPanel<T>;
  Vector<T> sum[kRows][N];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[r][v] = Vector<T>{};
  }
  for (int64_t k = 0; k < depth; ++k, a += W, b += W) {
    Vector<T> column[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) column[v] = load(b + v * L);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += a[r] * column[v];
    }
  }
  T block[kRows][N * L];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) __builtin_memcpy(&block[r][v * L], &sum[r][v], sizeof sum[r][v]);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < N * L; ++c) tile[r * W + c] += block[r][c];
  }
}

template <class T, int N = VP_VECTORS>
inline void rows_times_panel(int64_t vectors, int64_t depth, const T* a, const T* b, double* tile) {
  if (vectors == N) {
    micro_kernel<T, N>(depth, a, b, tile);
  } else if constexpr (N > 1) {
    rows_times_panel<T, N - 1>(vectors, depth, a, b, tile);
  }
}

// The `rows` of panel a that hold data against the first `columns` rows of panel b; on the
// diagonal only what touches the lower triangle.
template <class T>
void panel_times_panel(int64_t depth, const T* a, const T* b, int64_t rows, int64_t columns,
                       bool diagonal, double* tile) {
  constexpr int L = kLanes<T>, W = kPanel<T>;
  static_assert(W % kRows == 0, "a panel is a whole number of micro-kernels high");
  for (int64_t r = 0; r < rows; r += kRows) {
    const int64_t needed = diagonal && r + kRows < columns ? r + kRows : columns;
    rows_times_panel((needed + L - 1) / L, depth, a + r, b, tile + r * W);
  }
}

template <class T, class InA, class InB>
void share_of(const RowSet& a, const RowSet& b, bool symmetric, bool shift, Range slabs,
              double* tiles) {
  constexpr int W = kPanel<T>;
  const int64_t a_panels = (a.rows + W - 1) / W, b_panels = (b.rows + W - 1) / W;
  const int64_t packed = (symmetric ? a_panels : a_panels + b_panels) * W * kSlab;
  const Memory memory(packed * sizeof(T));
  T* a_packed = static_cast<T*>(memory.data);
  T* b_packed = symmetric ? a_packed : a_packed + a_panels * W * kSlab;

  for (int64_t slab = slabs.begin; slab < slabs.end; ++slab) {
    const Range columns = run_range(a.length, kSlab, slab);
    const int64_t depth = columns.end - columns.begin;
    pack<T, InA>(a, columns, shift, a_packed);
    if (!symmetric) pack<T, InB>(b, columns, shift, b_packed);
    double* tile = tiles;
    for (int64_t i = 0; i < a_panels; ++i) {
      const int64_t rows = a.rows - i * W < W ? a.rows - i * W : W;
      for (int64_t j = 0; j < (symmetric ? i + 1 : b_panels); ++j, tile += W * W) {
        const int64_t cols = b.rows - j * W < W ? b.rows - j * W : W;
        panel_times_panel(depth, a_packed + i * W * kSlab, b_packed + j * W * kSlab, rows, cols,
                          symmetric && i == j, tile);
      }
    }
  }
}

void share(const RowSet& a, const RowSet& b, bool symmetric, bool shift, Range slabs,
           double* tiles) {
  switch (a.type) {
    case Element::f32: return share_of<float, float, float>(a, b, symmetric, shift, slabs, tiles);
    case Element::f64:
      return share_of<double, double, double>(a, b, symmetric, shift, slabs, tiles);
    case Element::bf16: return share_of<float, BF16, BF16>(a, b, symmetric, shift, slabs, tiles);
    case Element::f16: return share_of<float, F16, F16>(a, b, symmetric, shift, slabs, tiles);
  }
}

#define VP_TEXT_OF(name) #name
#define VP_TEXT(name) VP_TEXT_OF(name)
extern const PanelProduct kProduct;
const PanelProduct kProduct = {VP_TEXT(VP_ISA), {kPanel<float>, kPanel<double>}, &share};

}  // namespace VP_ISA
}  // namespace vitprobe
