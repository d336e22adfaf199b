// From a tile of panels to the micro-kernel's blocks of it. Included by panel_kernels.h and
// dot_kernels.h, after cpu/vector/vectors.h.
//
// A micro-kernel is a struct with kLanes (rows of a panel in one vector) and
//   run<N, H>(a, b, first, tile)   tile[r][c] += the products of rows first + r of panel a (kRows
//                                  of them) with the first N vectors of rows of panel b, and H
//                                  (0 or 1) halves of one; tile is row `first` of the tile

namespace vitprobe {
namespace VP_ISA {

constexpr int kRows = VP_ROWS;
static_assert(kMostRows % kRows == 0, "rows that hold sums are whole blocks");
template <class Kernel> constexpr int kPanelOf = VP_VECTORS * Kernel::kLanes;

// The last vector's second half is left out where it is not needed: so blocks on the diagonal of
// kRows rows, half of a vector, are.
template <class Kernel, int N = VP_VECTORS>
inline void rows_times_panel(const Kernel& kernel, int64_t columns, int64_t a, int64_t b,
                             int64_t first, double* tile) {
  constexpr int L = Kernel::kLanes;
  if (columns > N * L - L / 2 || (columns > (N - 1) * L && L / 2 < kRows)) {
    kernel.template run<N, 0>(a, b, first, tile);
  } else if (columns > (N - 1) * L) {
    if constexpr (L / 2 >= kRows) kernel.template run<N - 1, 1>(a, b, first, tile);
  } else if constexpr (N > 1) {
    rows_times_panel<Kernel, N - 1>(kernel, columns, a, b, first, tile);
  }
}

// tile[r][c] += sums[r][c], rows of W.
template <int W, class T, int C> inline void add_block(const T (&sums)[kRows][C], double* tile) {
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < C; ++c) tile[r * W + c] += sums[r][c];
  }
}

// sums += these tiles of A B^T, or of A A^T those on and below the diagonal: there the blocks that
// touch the lower triangle, and only rows that hold data.
template <class Kernel>
void add_tiles(const Kernel& kernel, int64_t a_rows, int64_t b_rows, bool symmetric, Range tiles,
               double* sums) {
  constexpr int W = kPanelOf<Kernel>;
  static_assert(W % kRows == 0, "a panel is a whole number of micro-kernels high");
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile, sums += W * W) {
    const Coordinate at = tile_at(tile, tile_rows(b_rows, W), symmetric);
    const int64_t rows = a_rows - at.row * W < W ? a_rows - at.row * W : W;
    const int64_t columns = b_rows - at.col * W < W ? b_rows - at.col * W : W;
    const bool diagonal = symmetric && at.row == at.col;
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t needed = diagonal && r + kRows < columns ? r + kRows : columns;
      rows_times_panel(kernel, needed, at.row, at.col, r, sums + r * W);
    }
  }
}

}  // namespace VP_ISA
}  // namespace vitprobe
