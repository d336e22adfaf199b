// Which warp of a block owns which part of the lower triangle, and how a Gram matrix of any size is
// cut into blocks and splits. Shared maths; tests see that every element comes once.
//
// One block holds up to 256 rows of x. Its rows are cut into warp tiles of 16 or 32, and warp tile
// s is multiplied by columns 0 .. end of warp tile s only. A pair of warps owns warp tiles i and
// S-1-i, so that all pairs have the same work; of each 32 columns one warp takes the first 16, the
// other the rest.
//
//   S = 4 warp tiles   pair 0: warp tile 3 (long) and warp tile 0 (short)
//   0 *                pair 1: warp tile 2 (long) and warp tile 1 (short)
//   1 * *
//   2 * * *            32 columns of a warp tile are one cell; cells 0, 1, .. of the long warp tile
//   3 * * * *          are kept at places 0, 1, .., those of the short one at last, last - 1, ..
//
// The long warp tile of pair i has as many cells as the short one leaves places: kCells in all.
// Where pairs are fewer than fit into the block's 8 warps, groups of warps share the steps of K.
//
// More than 256 rows are cut into panels of 128: triangles of two panels, as above, and corners,
// 128 x 128, whose block holds the columns' panel as rows 0 .. 127 and the rows' panel as
// 128 .. 255: the long warp tiles of such a triangle, its first 128 columns.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "common/split.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kMostRows = 256;  // of one block
constexpr int kPanel = kMostRows / 2;

template <int rows, bool corner> struct GramTiles {
  static_assert(rows == 64 || rows == 128 || rows == 256);
  static_assert(!corner || rows == kMostRows);
  static constexpr int kRows = rows;
  static constexpr bool kCorner = corner;
  static constexpr int kBlocksEach = rows == 256 ? 1 : 2;  // on a multiprocessor
  static constexpr int kFragments = rows == 256 ? 2 : 1;   // of 16 rows, of a warp tile
  static constexpr int kWarpTile = 16 * kFragments;        // rows of a warp tile
  static constexpr int kWarpTiles = rows / kWarpTile;      // = warps of a group
  static constexpr int kGroups = kWarps / kWarpTiles;
  static constexpr int kSteps = kRowSteps / kGroups;               // of a stage, for a group
  static constexpr int kColumns = (corner ? kPanel : rows) / 32;   // cells of the last warp tile
  static constexpr int kCells = corner ? kColumns : kColumns + 1;  // of a warp
  static constexpr int kCell = kFragments * 2 * 4;  // floats that a lane keeps of a cell
  static constexpr int kValues = kCells * kCell;    // floats that a lane keeps
  static constexpr int kThreadsEach = kThreads / kGroups;
  static constexpr int kSize = kValues * kThreadsEach;  // of one partial result

  // Of warp w of a group: its pair, which 16 of 32 columns, its warp tiles.
  VP_HD static constexpr int pair(int warp) { return warp / 2; }
  VP_HD static constexpr int half(int warp) { return warp % 2; }
  VP_HD static constexpr int long_warp_tile(int warp) { return kWarpTiles - 1 - pair(warp); }
  VP_HD static constexpr int short_warp_tile(int warp) { return pair(warp); }
  VP_HD static constexpr int cells_of(int warp_tile) {
    return ((warp_tile + 1) * kWarpTile + 31) / 32;
  }
  VP_HD static constexpr int long_cells(int warp) {
    return corner ? kColumns : cells_of(long_warp_tile(warp));
  }
  VP_HD static constexpr int short_cells(int warp) {
    return corner ? 0 : cells_of(short_warp_tile(warp));
  }
  // Place of cell c of the short warp tile.
  VP_HD static constexpr int short_place(int cell) { return kCells - 1 - cell; }

  // Row and column, within the block's rows, of value v of a thread of a group.
  VP_HD static Coordinate element(int v, int thread) {
    const int warp = thread / kWarpSize, place = v / kCell, r = v % 4;
    const bool is_long = place < long_cells(warp);
    const int warp_tile = is_long ? long_warp_tile(warp) : short_warp_tile(warp);
    const int cell = is_long ? place : short_place(place);
    const Place at = c_place(thread % kWarpSize, r);
    return {warp_tile * kWarpTile + v % kCell / 8 * 16 + at.row,
            cell * 32 + half(warp) * 16 + v / 4 % 2 * 8 + at.at};
  }
};

// Rows of x in a block's shared memory: of the whole matrix, the row of row 0 and of row kPanel,
// and how many there are (the others are never read, and spoil only elements outside the matrix).
struct BlockRows {
  int64_t first, second;
  int count;

  VP_HD int64_t row(int64_t i) const { return i < kPanel ? first + i : second + (i - kPanel); }
};

VP_HD inline BlockRows block_rows(int64_t n, bool corner, int64_t index) {
  int64_t first = index * kMostRows, second = first + kPanel;
  if (corner) {  // four to a pair of triangles (row above column)
    const Coordinate at = packed_coordinate(index / 4, false);
    first = at.col * kMostRows + index % 2 * kPanel;
    second = at.row * kMostRows + index / 2 % 2 * kPanel;
  }
  int64_t count = corner ? kPanel + (n - second) : n - first;
  if (count > kMostRows) count = kMostRows;
  if (corner && count < kPanel) count = kPanel;
  return {first, second, static_cast<int>(count)};
}

// How the blocks of one shape share the work.
//   stage   128 bytes of every row
//   split   consecutive stages: one block's; at most kRunStages, so that a sum in fp32 is at most
//           1,024 additions long
//   pass    as many splits as there are resident blocks; more stages take more passes
struct GramPlan {
  int64_t blocks;  // triangles or corners
  int64_t stages, splits, passes;
  int64_t per_launch;  // blocks of one launch
};

constexpr int64_t kRunStages = 256;
constexpr int64_t kLeastStages = 2;  // of a split, while there are that many

// resident: blocks that the GPU holds at once. At most resident x kSize floats of workspace.
// Depends on the shapes and the GPU's size alone.
inline GramPlan plan_gram(int64_t n, int64_t stages, bool corner, int64_t resident) {
  const int64_t triangles = ceil_div(n, kMostRows);
  const int64_t blocks = corner ? 2 * triangles * (triangles - 1) : triangles;
  if (blocks == 0) return {0, stages, 1, 0, 0};
  int64_t splits = resident / blocks;
  if (splits > ceil_div(stages, kLeastStages)) splits = ceil_div(stages, kLeastStages);
  if (splits < 1) splits = 1;
  const int64_t per_launch = resident / splits < blocks ? resident / splits : blocks;
  return {blocks, stages, splits, ceil_div(stages, splits * kRunStages),
          per_launch < 1 ? 1 : per_launch};
}

// Stages of one split of one pass.
VP_HD inline Range split_stages(const GramPlan& plan, int64_t pass, int64_t split) {
  const Range whole = share_range(plan.stages, plan.passes, pass);
  const Range part = share_range(whole.end - whole.begin, plan.splits, split);
  return {whole.begin + part.begin, whole.begin + part.end};
}

}  // namespace vitprobe::kernels
