// Gram matrices of bf16 rows by a processor's matrix unit: tiles of 16 rows of 64 bytes. VP_TILES
// is the unit, a struct with
//   configure(config), release()   of the calling thread
//   load<T>(from, stride)          tile T = its rows, stride bytes apart
//   dot<C, A, B>()                 C[m][n] += the sum over 32 columns of A[m] times B's pairs [n]
//   store<T>(to, stride)
//
// The unit sums 32 columns from 0 and then adds them, so that 8 additions make a slab's sum: it
// begins at minus half of the slab's M (dot_slab.h), and ends at plus half of it. So M may be less
// than where it is taken off between columns: slabs with more are AVX512-BF16's.

#include "cpu/product/dot_slab.h"

namespace vitprobe {
namespace VP_ISA {

// As the instruction reads it.
struct TileConfig {
  uint8_t palette = 1, first_row = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};  // of a row
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64, "the instruction reads 64 bytes");

// The left operand has rows as they lie, the right one pairs side by side: both are kept.
struct RowsAndPanels {
  uint32_t *rows, *panels;

  RowsAndPanels at(int64_t first) const {
    return {rows + first * kPairs, Panels{panels}.at(first).panels};
  }
  void put(const U32 (&block)[kTurned], int64_t k) const {
    Panels{panels}.put(block, k);
    for (int r = 0; r < kTurned; ++r) {
      __builtin_memcpy(rows + r * kPairs + k / 2, &block[r], sizeof block[r]);
    }
  }
};

struct TileDots {
  static constexpr int kLanes = L;
  static_assert(kRows == 16 && L == 16, "one tile high, one tile a vector wide");

  int64_t blocks;
  RowsAndPanels packed;
  float start[L];  // what every sum begins at

  // Tiles 0..N - 1 are sums, the next N a block of panel b, the last one that of panel a.
  template <int N, int H>
  void run(int64_t a_panel, int64_t b_panel, int64_t first, double* tile) const {
    static_assert(H == 0, "a tile is not halved");
    const uint32_t* left = packed.rows + (a_panel * W + first) * kPairs;
    const uint32_t* right = packed.panels + b_panel * W * kPairs;
    float sums[kRows][N * L];
    each<N>([&](auto v) { VP_TILES::template load<v>(start, 0); });
    for (int64_t block = 0; block < blocks; ++block, left += L, right += L * W) {
      VP_TILES::template load<2 * N>(left, kPairs * sizeof *left);
      each<N>([&](auto v) {
        VP_TILES::template load<N + v>(right + v * L, W * sizeof *right);
        VP_TILES::template dot<v, 2 * N, N + v>();
      });
    }
    each<N>([&](auto v) { VP_TILES::template store<v>(&sums[0][v * L], sizeof sums[0]); });
    add_block<W>(sums, tile);
  }

 private:
  template <int N, class Use> static void each(const Use& use) {
    if constexpr (N > 1) each<N - 1>(use);
    use(std::integral_constant<int, N - 1>{});
  }
};

void add(const Product& product, Range slabs, Range tiles, double* sums) {
  const RowSet& x = product.a;
  if (!for_dots(product)) return avx512::kProduct.add(product, slabs, tiles, sums);
  const int64_t numbers = tile_rows(x.rows, W) * W * kPairs;
  const Memory memory(2 * numbers * sizeof(uint32_t));
  uint32_t* panels = static_cast<uint32_t*>(memory.data);
  const RowsAndPanels packed = {panels + numbers, panels};
  VP_TILES::configure(TileConfig{});
  const auto multiply = [&](const Slab& slab, Range columns) {
    TileDots kernel = {ceil_div(columns.end - columns.begin, kBlock), packed, {}};
    float all = 0;
    for (float part : slab.balance) all += part;
    for (float& each : kernel.start) each = 0.5f * all;
    add_tiles(kernel, x.rows, x.rows, true, tiles, sums);
  };
  add_slabs(product, slabs, tiles, sums, 0.75f, avx512_bf16::kProduct, packed, multiply);
  VP_TILES::release();
}

const PanelProduct kProduct = {{W, VP_VECTORS * kLanes<double>}, &add};

}  // namespace VP_ISA
}  // namespace vitprobe
