// Gram matrices of bf16 rows by the processor's dot instruction: two products a lane, summed in
// fp32. Each sum begins at minus half of the M of 32 columns (dot_slab.h) and is lowered between
// them.

#include "cpu/product/dot_slab.h"

namespace vitprobe {
namespace VP_ISA {

struct Dots {
  static constexpr int kLanes = L;

  int64_t blocks;
  const uint32_t* panels;
  const float* balance;
  const BF16* next;  // the first row's columns that are packed after these
  int64_t stride;

  // H: half a vector more.
  template <int N, int H>
  void run(int64_t a_panel, int64_t b_panel, int64_t first, double* tile) const {
    const uint32_t* left = panels + a_panel * W * kPairs + first;
    const uint32_t* right = panels + b_panel * W * kPairs;
    F32 sum[kRows][N + 1];  // one more than there need be, as for N = 0
    __m256 half[kRows];
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] = F32{} + balance[0];
      half[r] = _mm256_set1_ps(balance[0]);
    }
    const BF16* ahead = next + (a_panel * W + first) * stride;
    for (int64_t block = 0; block < blocks; ++block) {
      if (a_panel == b_panel) {  // once for each row, while memory has nothing else to do
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) {
          __builtin_prefetch(ahead + r * stride + block * kBlock, 0, 2);
        }
      }
      for (int64_t k = 0; k < kBlock / 2; ++k, left += W, right += W) {
        U32 column[N + 1];
        __m256bh last;
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) __builtin_memcpy(&column[v], right + v * L, sizeof(U32));
        if constexpr (H) __builtin_memcpy(&last, right + N * L, sizeof last);
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) {
          const __m512i pair = _mm512_set1_epi32(static_cast<int>(left[r]));
#pragma GCC unroll 4
          for (int v = 0; v < N; ++v) sum[r][v] = dot(sum[r][v], (U32)pair, column[v]);
          if constexpr (H) {
            half[r] = _mm256_dpbf16_ps(half[r], (__m256bh)_mm512_castsi512_si256(pair), last);
          }
        }
      }
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] += balance[block + 1];
        half[r] += balance[block + 1];
      }
    }
    float sums[kRows][N * L + H * L / 2];
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
      __builtin_memcpy(sums[r], sum[r], N * sizeof(F32));
      if constexpr (H) __builtin_memcpy(sums[r] + N * L, &half[r], sizeof half[r]);
    }
    add_block<W>(sums, tile);
  }
};

void add(const Product& product, Range slabs, Range tiles, double* sums) {
  const RowSet& x = product.a;
  if (!for_dots(product)) return avx512::kProduct.add(product, slabs, tiles, sums);
  const Memory memory(tile_rows(x.rows, W) * W * kPairs * sizeof(uint32_t));
  uint32_t* panels = static_cast<uint32_t*>(memory.data);
  const auto multiply = [&](const Slab& slab, Range columns) {
    const Dots kernel = {ceil_div(columns.end - columns.begin, kBlock), panels, slab.balance,
                         static_cast<const BF16*>(x.data) + columns.end, x.stride};
    add_tiles(kernel, x.rows, x.rows, true, tiles, sums);
  };
  add_slabs(product, slabs, tiles, sums, 2.0f, avx512::kProduct, Panels{panels}, multiply);
}

const PanelProduct kProduct = {{W, VP_VECTORS * kLanes<double>}, &add};

}  // namespace VP_ISA
}  // namespace vitprobe
