// Which warp of a block owns which part of the lower triangle, and how a Gram matrix of any size is
// cut into blocks and slices. Shared maths; tests see that every element comes once.
//
// One block holds up to 256 rows of x. Its rows are cut into strips of 16 or 32, and strip s is
// multiplied by columns 0 .. end of strip s only. A pair of warps owns strips i and S-1-i, so that
// all pairs have the same work; of each 32 columns one warp takes the first 16, the other the rest.
//
//   S = 4 strips       pair 0: strip 3 (long) and strip 0 (short)
//   0 *                pair 1: strip 2 (long) and strip 1 (short)
//   1 * *
//   2 * * *            32 columns x a strip = one cell; cells 0, 1, .. of the long strip from the
//   3 * * * *          left are kept in places 0, 1, .., those of the short one in last, last-1, ..
//
// The long strip of pair i has as many cells as the short one leaves places: kCells in all. Where
// pairs are fewer than fit into the block's 8 warps, groups of warps share the steps of K.
//
// More than 256 rows are cut into panels of 128: triangles of two panels, as above, and corners,
// 128 x 128, whose block holds the columns' panel as rows 0 .. 127 and the rows' panel as
// 128 .. 255: the long strips of such a triangle, its first 128 columns.
#pragma once

#include <cstdint>

#include "host_device.h"
#include "mma.h"
#include "packed.h"
#include "split.h"
#include "warps.h"

namespace vitprobe::kernels {

constexpr int kMostRows = 256;  // of one block
constexpr int kPanel = kMostRows / 2;

template <int rows, bool corner>
struct GramTiles {
  static_assert(rows == 64 || rows == 128 || rows == 256);
  static_assert(!corner || rows == kMostRows);
  static constexpr int kRows = rows;
  static constexpr bool kCorner = corner;
  static constexpr int kBlocksEach = rows == 256 ? 1 : 2;  // on a multiprocessor
  static constexpr int kMs = rows == 256 ? 2 : 1;        // 16-row operands of a strip
  static constexpr int kStrip = 16 * kMs;                // rows of a strip
  static constexpr int kStrips = rows / kStrip;          // = warps of a group
  static constexpr int kGroups = kWarps / kStrips;
  static constexpr int kSteps = kRowSteps / kGroups;     // of a stage, for a group
  static constexpr int kColumns = (corner ? kPanel : rows) / 32;   // cells of the last strip
  static constexpr int kCells = corner ? kColumns : kColumns + 1;  // of a warp
  static constexpr int kCell = kMs * 2 * 4;              // floats that a lane keeps of a cell
  static constexpr int kValues = kCells * kCell;         // floats that a lane keeps
  static constexpr int kThreadsEach = kThreads / kGroups;
  static constexpr int kSize = kValues * kThreadsEach;   // of one partial result

  // Of warp w of a group: its pair, which 16 of 32 columns, its strips.
  VP_HD static constexpr int pair(int warp) { return warp / 2; }
  VP_HD static constexpr int half(int warp) { return warp % 2; }
  VP_HD static constexpr int long_strip(int warp) { return kStrips - 1 - pair(warp); }
  VP_HD static constexpr int short_strip(int warp) { return pair(warp); }
  VP_HD static constexpr int cells_of(int strip) { return ((strip + 1) * kStrip + 31) / 32; }
  VP_HD static constexpr int long_cells(int warp) {
    return corner ? kColumns : cells_of(long_strip(warp));
  }
  VP_HD static constexpr int short_cells(int warp) {
    return corner ? 0 : cells_of(short_strip(warp));
  }
  // Place of cell c of the short strip.
  VP_HD static constexpr int short_place(int cell) { return kCells - 1 - cell; }

  // Row and column, within the block's rows, of value v of a thread of a group.
  VP_HD static Pair element(int v, int thread) {
    const int warp = thread / kLanes, place = v / kCell, r = v % 4;
    const bool is_long = place < long_cells(warp);
    const int strip = is_long ? long_strip(warp) : short_strip(warp);
    const int cell = is_long ? place : short_place(place);
    const Cell at = c_cell(thread % kLanes, r);
    return {strip * kStrip + v % kCell / 8 * 16 + at.row,
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
    const Pair at = packed_pair(index / 4, false);
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
//   slice   consecutive stages: one block's; at most kRunStages, so that a sum in fp32 is at most
//           1,024 additions long
//   pass    as many slices as there are places for blocks; more stages take more passes
struct GramPlan {
  int64_t blocks;  // triangles or corners
  int64_t stages, slices, passes;
  int64_t chunk;  // blocks of one launch
};

constexpr int64_t kRunStages = 256;
constexpr int64_t kLeastStages = 2;  // of a slice, while there are that many

// At most places x kSize floats of workspace. Depends on the shapes and the GPU's size alone.
inline GramPlan plan_gram(int64_t n, int64_t stages, bool corner, int64_t places) {
  const int64_t triangles = run_count(n, kMostRows);
  const int64_t blocks = corner ? 2 * triangles * (triangles - 1) : triangles;
  if (blocks == 0) return {0, stages, 1, 0, 0};
  int64_t slices = places / blocks;
  if (slices > run_count(stages, kLeastStages)) slices = run_count(stages, kLeastStages);
  if (slices < 1) slices = 1;
  const int64_t chunk = places / slices < blocks ? places / slices : blocks;
  return {blocks, stages, slices, run_count(stages, slices * kRunStages), chunk < 1 ? 1 : chunk};
}

// Stages of one slice of one pass.
VP_HD inline Range slice_stages(const GramPlan& plan, int64_t pass, int64_t slice) {
  const Range whole = share_range(plan.stages, plan.passes, pass);
  const Range part = share_range(whole.end - whole.begin, plan.slices, slice);
  return {whole.begin + part.begin, whole.begin + part.end};
}

}  // namespace vitprobe::kernels
