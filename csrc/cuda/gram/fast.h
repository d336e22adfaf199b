// The Gram matrix on the matrix unit, reading x once.
//
//   x: (n, p)   float, BF16 or F16; row-major, any row stride, any alignment
//   packed:     lower triangle with diagonal, n(n+1)/2 doubles (common/packed.h):
//               sum_c (x_ic - shift_c)(x_jc - shift_c) - rest,   shift, rest: shift.h
//
// Centred, that is the Gram matrix of x centred: neither shift nor rest is left.
//
//   K ->   | split 0 | split 1 | ...            one split: one block of the grid, all n <= 256 rows
//
// What a block does is told in split.h. GramFold adds the blocks' partial results in fp64, in
// a fixed order, by all blocks of a second launch. Many sites in one launch: group.h.
//
// Floor: one read of x / bandwidth, or n^2 p (1 + 32/n) operations / rate of the matrix unit, three
// times that for 3xTF32. Partial results: kSize floats a block (144 KiB for n = 256, 40 KiB for
// n = 128), written and read once, mostly in L2.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/gram/fold.h"
#include "cuda/gram/split.h"

namespace vitprobe::kernels {

// Block `index`: of the launch's `per_launch` blocks of rows from first_block on, number index %
// per_launch; of the pass's splits, number index / per_launch. So blocks that run together read the
// same columns.
template <class Math, class Tiles> struct GramSplit {
  using T = typename Math::T;
  using Own = GramBlock<Math, Tiles>;
  using Shared = typename Own::Shared;
  static constexpr int kBlocksEach = Tiles::kBlocksEach;

  Matrix<T> x;
  typename Own::Shift shift;
  GramPlan plan;
  int copy;
  int64_t pass, first_block, per_launch;
  float* partials;  // (per_launch, splits, groups, kSize)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const BlockRows rows = block_rows(x.rows, Tiles::kCorner, first_block + index % per_launch);
    const int64_t split = index / per_launch;
    float* out =
        partials + (index % per_launch * plan.splits + split) * Tiles::kGroups * Tiles::kSize;
    Own::run(block, shared, x, shift, rows, split_stages(plan, pass, split), copy, out);
  }
};

// All blocks of one shape: passes over K, a bounded number of blocks at a time. squares: null, or
// where the parts of the first example's sum of squares go. Returns how many those are.
template <class Math, class Tiles, class Grid>
int64_t gram_blocks(Grid& grid, const Matrix<typename Math::T>& x, int copy, const float* shift,
                    const float* mean, const GramPlan& plan, float* partials, double* packed,
                    double* squares) {
  using Fold = GramFold<Tiles, typename Math::T>;
  const int64_t splits = plan.splits * Tiles::kGroups;
  const int log_parts = fold_log_parts(splits);
  for (int64_t pass = 0; pass < plan.passes; ++pass) {
    for (int64_t first = 0; first < plan.blocks; first += plan.per_launch) {
      const int64_t count =
          plan.blocks - first < plan.per_launch ? plan.blocks - first : plan.per_launch;
      grid.launch_warps(count * plan.splits,
                        GramSplit<Math, Tiles>{
                            x, {x.columns, shift, mean}, plan, copy, pass, first, count, partials});
      grid.launch_warps(count * Fold::Own::blocks(log_parts),
                        Fold{x.rows,
                             first,
                             static_cast<int>(splits),
                             log_parts,
                             pass > 0,
                             partials,
                             {x.data, x.columns},
                             packed,
                             pass == 0 && first == 0 ? squares : nullptr});
    }
  }
  return Fold::Own::blocks(log_parts);
}

// Bytes that one copy may move: what the rows' addresses are aligned to.
template <typename T> VP_HD inline int copy_bytes(const Matrix<T>& x) {
  const auto all =
      reinterpret_cast<uintptr_t>(x.data) | static_cast<uintptr_t>(x.stride) * sizeof(T);
  return all % 16 == 0 ? 16 : all % 4 == 0 ? 4 : 2;
}

// Workspace of gram_fast in bytes, for each of `num_sms` blocks of kMostRows rows at a time
// (smaller ones: several to a place); `shifts` floats more where no block holds all rows.
constexpr int64_t kPartialsPerSm = GramTiles<kMostRows, false>::kSize;
inline int64_t gram_shifts(int64_t n, int64_t p) { return n > kMostRows ? 2 * p : 0; }

// The smallest triangle that holds n <= kMostRows rows.
template <class Function> void with_tiles(int64_t n, const Function& function) {
  if (n > 128) {
    function(GramTiles<kMostRows, false>{});
  } else if (n > 64) {
    function(GramTiles<128, false>{});
  } else {
    function(GramTiles<64, false>{});
  }
}

// num_sms: the GPU's multiprocessors. Workspace: partials (num_sms * kPartialsPerSm,), shifts
// (gram_shifts(n, p),). squares (kMostSquares,), or null; returns how many of them are written.
template <class Math, class Grid>
int64_t gram_fast(Grid& grid, const Matrix<typename Math::T>& x, int64_t num_sms, float* partials,
                  float* shifts, double* packed, double* squares) {
  using T = typename Math::T;
  const int64_t stages = ceil_div(x.columns, kStageColumns<T>);
  const int copy = copy_bytes(x);
  const auto run = [&](auto tiles, const float* shift, const float* mean, double* to) {
    using Tiles = decltype(tiles);
    static_assert(Tiles::kBlocksEach * Tiles::kGroups * Tiles::kSize <= kPartialsPerSm);
    const GramPlan plan = plan_gram(x.rows, stages, Tiles::kCorner, num_sms * Tiles::kBlocksEach);
    return gram_blocks<Math, Tiles>(grid, x, copy, shift, mean, plan, partials, packed, to);
  };
  if (x.rows > kMostRows) {
    float *shift = shifts, *mean = shifts + x.columns;
    column_shifts(grid, x, shift, mean);
    const int64_t parts = run(GramTiles<kMostRows, false>{}, shift, mean, squares);
    run(GramTiles<kMostRows, true>{}, shift, mean, nullptr);
    return parts;
  }
  int64_t parts = 0;
  with_tiles(x.rows, [&](auto tiles) { parts = run(tiles, nullptr, nullptr, squares); });
  return parts;
}

}  // namespace vitprobe::kernels
