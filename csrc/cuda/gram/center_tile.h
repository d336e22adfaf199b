// What a block of center.h reads: one tile, 256 x 256, of a packed Gram matrix, and its sums.
//
// A warp takes four rows at a time, a lane every 32nd column of them: reads are of neighbouring
// numbers. An element counts for its row and, as the one above the diagonal, for its column.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "common/tiles.h"
#include "cuda/device/lane_sums.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kCenterTile = kThreads;  // rows and columns of a tile

// One tile of a site's Gram matrix, as its block reads it: what lies below the diagonal.
template <typename In> struct CenterTile {
  static constexpr int kRows = 4;                           // that a warp takes at a time
  static constexpr int kColumns = kCenterTile / kWarpSize;  // of a lane
  struct Sums {
    double row[kCenterTile], column[kWarps][kCenterTile];  // of a warp's rows
  };
  struct Own {
    double value[kRows][kColumns];
    double row[kRows], column[kColumns];
  };

  const In* gram;
  int64_t n, row0, column0;

  VP_DEVICE CenterTile(const In* gram, int64_t n, int64_t tile) : gram(gram), n(n) {
    const Coordinate at = tile == 0 ? Coordinate{0, 0} : lower_tile(tile);  // a root saved
    row0 = at.row * kCenterTile;
    column0 = at.col * kCenterTile;
  }
  VP_DEVICE bool on_diagonal() const { return row0 == column0; }

  // The columns of the tile that a row has below the diagonal are 0 .. width(row) - 1.
  VP_DEVICE int width(int row) const {
    const int64_t i = row0 + row, left = i < n ? i - column0 : 0;
    return left < kCenterTile ? static_cast<int>(left) : kCenterTile;
  }

  // work(first) for every four rows of a warp, their elements loaded; 0 where there is none.
  template <class Block, class Owns, class Work>
  VP_DEVICE void each_rows(Block block, Owns& own, int warp, const Work& work) const {
    VP_LOOP
    for (int first = warp * kRows; first < kCenterTile; first += kWarps * kRows) {
      if (row0 + first >= n) break;
      block.each_lane(warp, [&](int thread) {
        const int lane = thread % kWarpSize;
        VP_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const int count = width(first + r);
          const In* from = gram + packed_size(row0 + first + r, true) + column0 + lane;
          VP_UNROLL
          for (int c = 0; c < kColumns; ++c) {
            const bool held = lane + c * kWarpSize < count;
            own[thread].value[r][c] = held ? static_cast<double>(from[c * kWarpSize]) : 0.0;
          }
        }
      });
      work(first);
    }
  }

  template <class Block, class Owns>
  VP_DEVICE void sum(Block block, Sums& sums, Owns& own, int warp) const {
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int c = 0; c < kColumns; ++c) own[thread].column[c] = 0.0;
    });
    each_rows(block, own, warp, [&](int first) {
      block.each_lane(warp, [&](int thread) {
        Own& mine = own[thread];
        VP_UNROLL
        for (int r = 0; r < kRows; ++r) {
          mine.row[r] = 0.0;
          VP_UNROLL
          for (int c = 0; c < kColumns; ++c) {
            mine.row[r] += mine.value[r][c];
            mine.column[c] += mine.value[r][c];
          }
        }
      });
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) {
        add_lanes(block, warp, [&](int thread) -> double& { return own[thread].row[r]; });
      }
      block.each_lane(warp, [&](int thread) {
        if (thread % kWarpSize != 0) return;
        VP_UNROLL
        for (int r = 0; r < kRows; ++r) sums.row[first + r] = own[thread].row[r];
      });
    });
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        sums.column[warp][thread % kWarpSize + c * kWarpSize] = own[thread].column[c];
      }
    });
  }

  // Row `row` of the matrix, of which this tile has both the rows and, on the diagonal, the
  // columns.
  VP_DEVICE double row_sum(const Sums& sums, int row) const {
    return row0 + row < n ? sums.row[row] : 0.0;
  }
  VP_DEVICE static double column_sum(const Sums& sums, int column) {
    double sum = 0.0;
    VP_UNROLL
    for (int warp = 0; warp < kWarps; ++warp) sum += sums.column[warp][column];
    return sum;
  }
  // K_ii of row i = `row` of a tile on the diagonal.
  VP_DEVICE double diagonal(int row) const {
    const int64_t i = row0 + row;
    return i < n ? static_cast<double>(gram[packed_index(i, i, true)]) : 0.0;
  }
};

}  // namespace vitprobe::kernels
