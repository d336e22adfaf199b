// The code behind panels.h. No include guard: each cpu/product/*.cpp includes it once, after
// choosing an instruction set and defining VP_ISA (a namespace), VP_VECTOR (bytes of a register)
// and VP_ROWS x VP_VECTORS (accumulators of the micro-kernel). Includes nothing that it could
// compile for that instruction set by accident.

#include "cpu/vector/vectors.h"

#include "cpu/product/tiles.h"

namespace vitprobe {
namespace VP_ISA {

template <class T> constexpr int kPanel = VP_VECTORS * kLanes<T>;

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
      const In* from = data + first * x.stride + k;
      int64_t stride = x.stride, width = L;
      In edge[L * L];
      if (present < L || depth - k < L) {  // behind the last row the first one, behind columns 0
        if (depth - k < L) width = depth - k;
        __builtin_memset(edge, 0, sizeof edge);
        for (int64_t r = 0; r < L; ++r) {
          const In* row = r < present ? from + r * stride : data + k;
          __builtin_memcpy(edge + r * L, row, width * sizeof(In));
        }
        from = edge;
        stride = L;
      } else if (first + 2 * L <= x.rows && k * sizeof(In) % 64 == 0) {  // the next rows, into L2
#pragma GCC unroll 16
        for (int r = 0; r < L; ++r) __builtin_prefetch(from + (L + r) * stride, 0, 2);
      }
      Vector<T> square[L], sum = load(sums + k), pivot = {};
      if (shift) pivot = width == L ? load(data + k) : load_part<T>(data + k, width);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) square[r] = load(from + r * stride) - pivot;
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
    const T one_of = T(1) / static_cast<T>(x.rows);
    for (int64_t group = 0; group < groups; ++group) {
      T* values = panels + group / VP_VECTORS * W * kSlab + group % VP_VECTORS * L;
      for (int64_t k = 0; k < depth; ++k, values += W) {
        const Vector<T> shifted = load(values) - sums[k] * one_of;
        __builtin_memcpy(values, &shifted, sizeof shifted);
      }
    }
  }
}

// ---- multiplying: outer products of columns, summed in the registers over the slab

template <class T> struct OuterProducts {
  static constexpr int kLanes = vitprobe::VP_ISA::kLanes<T>;

  int64_t depth;
  const T *a, *b;  // panels

  template <int N, int H>
  void run(int64_t a_panel, int64_t b_panel, int64_t first, double* tile) const {
    constexpr int L = kLanes, W = kPanel<T>;
    const T* left = a + a_panel * W * kSlab + first;
    const T* right = b + b_panel * W * kSlab;
    Vector<T> sum[kRows][N + 1] = {};  // one more than there need be, as for N = 0
    HalfVector<T> half[kRows] = {};
    for (int64_t k = 0; k < depth; ++k, left += W, right += W) {
      Vector<T> column[N + 1];
      HalfVector<T> last;
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) column[v] = load(right + v * L);
      if constexpr (H) __builtin_memcpy(&last, right + N * L, sizeof last);
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] += left[r] * column[v];
        if constexpr (H) half[r] += left[r] * last;
      }
    }
    T sums[kRows][N * L + H * L / 2];
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      __builtin_memcpy(sums[r], sum[r], N * sizeof(Vector<T>));
      if constexpr (H) __builtin_memcpy(sums[r] + N * L, &half[r], sizeof half[r]);
    }
    add_block<W>(sums, tile);
  }
};

template <class T, class In>
void add_of(const Product& product, Range slabs, Range tiles, double* sums) {
  constexpr int W = kPanel<T>;
  const RowSet &a = product.a, &b = product.b;
  const int64_t a_panels = tile_rows(a.rows, W);
  const int64_t b_panels = product.symmetric ? 0 : tile_rows(b.rows, W);
  const Memory memory((a_panels + b_panels) * W * kSlab * sizeof(T));
  T* a_packed = static_cast<T*>(memory.data);
  T* b_packed = product.symmetric ? a_packed : a_packed + a_panels * W * kSlab;

  for (int64_t slab = slabs.begin; slab < slabs.end; ++slab) {
    const Range columns = run_range(a.length, kSlab, slab);
    pack<T, In>(a, columns, product.shift, a_packed);
    if (!product.symmetric) pack<T, In>(b, columns, product.shift, b_packed);
    const OuterProducts<T> kernel = {columns.end - columns.begin, a_packed, b_packed};
    add_tiles(kernel, a.rows, b.rows, product.symmetric, tiles, sums);
  }
}

void add(const Product& product, Range slabs, Range tiles, double* sums) {
  with_type<float, double, BF16, F16>(product.a.type, [&](auto element) {
    using In = decltype(element);
    add_of<Widened<In>, In>(product, slabs, tiles, sums);
  });
}

const PanelProduct kProduct = {{kPanel<float>, kPanel<double>}, &add};

}  // namespace VP_ISA
}  // namespace vitprobe
