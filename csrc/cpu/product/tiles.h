// From a tile of panels to the micro-kernel's blocks of it. Included by panel_kernels.h and
// dot_kernels.h, after cpu/vector/vectors.h.
//
// A micro-kernel is a struct with kLanes (rows of a panel in one vector) and
//   run<N>(a, b, first, tile)   tile[r][c] += the products of rows first + r of panel a (kRows of
//                               them) with the first N vectors of rows of panel b; tile is row
//                               `first` of the tile

namespace vitprobe {
namespace VP_ISA {

constexpr int kRows = VP_ROWS;
template <class Kernel> constexpr int kPanelOf = VP_VECTORS * Kernel::kLanes;

template <class Kernel, int N = VP_VECTORS>
inline void rows_times_panel(const Kernel& kernel, int64_t vectors, int64_t a, int64_t b,
                             int64_t first, double* tile) {
  if (vectors == N) {
    kernel.template run<N>(a, b, first, tile);
  } else if constexpr (N > 1) {
    rows_times_panel<Kernel, N - 1>(kernel, vectors, a, b, first, tile);
  }
}

// tile[r][c] += sum[r][c], from a register's type to double.
template <class T, int N> inline void add_block(const Vector<T> (&sum)[kRows][N], double* tile) {
  constexpr int L = kLanes<T>, W = VP_VECTORS * L;
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

// sums += these tiles of A B^T, or of A A^T those on and below the diagonal: there the blocks that
// touch the lower triangle, and only rows that hold data.
template <class Kernel>
void add_tiles(const Kernel& kernel, int64_t a_rows, int64_t b_rows, bool symmetric, Range tiles,
               double* sums) {
  constexpr int L = Kernel::kLanes, W = kPanelOf<Kernel>;
  static_assert(W % kRows == 0, "a panel is a whole number of micro-kernels high");
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile, sums += W * W) {
    const Coordinate at = tile_at(tile, tile_rows(b_rows, W), symmetric);
    const int64_t rows = a_rows - at.row * W < W ? a_rows - at.row * W : W;
    const int64_t columns = b_rows - at.col * W < W ? b_rows - at.col * W : W;
    const bool diagonal = symmetric && at.row == at.col;
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t needed = diagonal && r + kRows < columns ? r + kRows : columns;
      rows_times_panel(kernel, (needed + L - 1) / L, at.row, at.col, r, sums + r * W);
    }
  }
}

}  // namespace VP_ISA
}  // namespace vitprobe
