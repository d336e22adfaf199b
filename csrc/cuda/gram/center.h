// Packed Gram matrices, centred (common/centring.h) and packed again.
//
//   gram: (sites, n(n+1)/2) floats or doubles, lower triangles with diagonal (common/packed.h)
//
// The matrix is cut into tiles of 256 x 256, those on or below the diagonal (common/tiles.h); a
// block owns one (center_tile.h). Up to 256 examples one block knows all sums, and a site is one
// block of Center; for more, TileSums leaves every tile's sums in `sums`, and Center adds up those
// that it needs.
//
// Beside them, on request, the first example's norm, from parts of its sum of squares (fold.h).
//
// All sums and the centring itself in fp64, in a fixed order. Memory floor: one read of the Gram
// matrix and one write of the result; here it is read twice, mostly from L2.
#pragma once

#include <math.h>

#include <cstdint>

#include "common/centring.h"
#include "common/host_device.h"
#include "common/packed.h"
#include "common/split.h"
#include "common/tiles.h"
#include "cuda/device/lane_sums.h"
#include "cuda/device/warps.h"
#include "cuda/gram/center_tile.h"

namespace vitprobe::kernels {

// Doubles of workspace for the sums of one site; none where one block knows all.
VP_HD inline int64_t center_sums(int64_t n) {
  return n > kCenterTile ? 2 * kCenterTile * lower_tiles(n, kCenterTile) : 0;
}

// Block `index`: the sums of tile index % tiles of site index / tiles, of its rows, then columns.
template <typename In> struct TileSums {
  using Tile = CenterTile<In>;
  using Shared = typename Tile::Sums;
  static constexpr int kBlocksEach = 2;

  const In* gram;
  int64_t n, tiles;
  bool diagonal;  // counted, with the rows?
  double* sums;   // (sites, tiles, 2, kCenterTile)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Tile tile(gram + index / tiles * packed_size(n, true), n, index % tiles);
    typename Block::template PerThread<typename Tile::Own> own(block);
    block.each_warp([&](int warp) { tile.sum(block, shared, own, warp); });
    block.each_thread([&](int thread) {
      double* to = sums + 2 * kCenterTile * index + thread;
      to[0] = tile.row_sum(shared, thread);
      if (diagonal && tile.on_diagonal()) to[0] += tile.diagonal(thread);
      to[kCenterTile] = tile.column_sum(shared, thread);
    });
  }
};

// The norm of a site's first example, as parts of its square.
struct Norms {
  const double* squares;  // (sites, parts)
  int64_t parts;
  double* out;  // (sites,), or null: not wanted
};

// Block `index`: tile index % tiles of the result index / tiles.
template <typename In, typename Out> struct Center {
  using Tile = CenterTile<In>;
  static constexpr int kBlocksEach = 2;
  struct Shared {
    typename Tile::Sums sums;
    double row[kCenterTile], column[kCenterTile];  // means
    double totals[kWarps], squares[kWarps];
  };

  const In* gram;
  int64_t n, tiles;
  bool biased;
  const double* sums;  // of TileSums; not read where there is one tile
  Norms norms;
  Out* out;  // (sites, packed_size(n, biased)), rows `stride` elements apart
  int64_t stride;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t site = tiles == 1 ? index : index / tiles;
    const Tile tile(gram + site * packed_size(n, true), n, index - site * tiles);
    typename Block::template PerThread<typename Tile::Own> own(block);
    typename Block::template PerThread<double> sum(block), squares(block);
    const bool gives_norm = norms.out != nullptr && index == site * tiles;
    if (tiles == 1) {
      block.each_warp([&](int warp) { tile.sum(block, shared.sums, own, warp); });
    }
    const double of_row = weight_of_row(n, biased);
    block.each_thread([&](int thread) {
      if (tiles == 1) {
        sum[thread] = tile.row_sum(shared.sums, thread) + tile.column_sum(shared.sums, thread) +
                      (biased ? tile.diagonal(thread) : 0.0);
        shared.row[thread] = shared.column[thread] = sum[thread] * of_row;
      } else {
        const double* own_sums = sums + site * center_sums(n) + thread;
        sum[thread] = 0.0;
        VP_LOOP
        for (int64_t i = 0; i < 2 * tiles; ++i) sum[thread] += own_sums[i * kCenterTile];
        shared.row[thread] = sum_of(own_sums, tile.row0 / kCenterTile) * of_row;
        shared.column[thread] = sum_of(own_sums, tile.column0 / kCenterTile) * of_row;
      }
    });
    block.each_warp([&](int warp) {
      add_lanes(block, warp, [&](int thread) -> double& { return sum[thread]; });
      block.each_lane(warp, [&](int thread) {
        if (thread % kWarpSize == 0) shared.totals[warp] = sum[thread];
      });
      if (!gives_norm) return;
      block.each_lane(warp, [&](int thread) {
        squares[thread] = 0.0;
        for (int64_t i = thread; i < norms.parts; i += kThreads) {
          squares[thread] += norms.squares[site * norms.parts + i];
        }
      });
      add_lanes(block, warp, [&](int thread) -> double& { return squares[thread]; });
      block.each_lane(warp, [&](int thread) {
        if (thread % kWarpSize == 0) shared.squares[warp] = squares[thread];
      });
    });
    Out* to = out + site * stride;
    block.each_warp([&](int warp) {
      double total = 0.0;
      VP_UNROLL
      for (int w = 0; w < kWarps; ++w) total += shared.totals[w];
      total *= weight_of_all(n, biased, of_row);
      tile.each_rows(block, own, warp, [&](int first) {
        block.each_lane(
            warp, [&](int thread) { write(shared, tile, own[thread], first, total, to, thread); });
      });
      block.each_lane(warp, [&](int thread) {
        if (gives_norm && thread == 0) {
          double all = 0.0;
          for (int w = 0; w < kWarps; ++w) all += shared.squares[w];
          norms.out[site] = sqrt(all);
        }
        if (!biased || !tile.on_diagonal()) return;
        const int64_t i = tile.row0 + thread;
        if (i >= n) return;
        const double mean = shared.row[thread];
        to[packed_index(i, i, true)] =
            static_cast<Out>(centred(tile.diagonal(thread), total - mean, mean));
      });
    });
  }

 private:
  // Of row `thread` of a tile's row of tiles: the tiles in that row, then those below it.
  VP_DEVICE double sum_of(const double* own_sums, int64_t of_tile) const {
    double sum = 0.0;
    VP_LOOP
    for (int64_t column = 0; column <= of_tile; ++column) {
      sum += own_sums[2 * kCenterTile * packed_index(of_tile, column, true)];
    }
    VP_LOOP
    for (int64_t row = of_tile; row < tile_rows(n, kCenterTile); ++row) {
      sum += own_sums[2 * kCenterTile * packed_index(row, of_tile, true) + kCenterTile];
    }
    return sum;
  }

  VP_DEVICE void write(const Shared& shared, const Tile& tile, const typename Tile::Own& mine,
                       int first, double total, Out* to, int thread) const {
    const int lane = thread % kWarpSize;
    VP_UNROLL
    for (int r = 0; r < Tile::kRows; ++r) {
      const double left = total - shared.row[first + r];
      const int count = tile.width(first + r);
      Out* own = to + packed_size(tile.row0 + first + r, biased) + tile.column0 + lane;
      VP_UNROLL
      for (int c = 0; c < Tile::kColumns; ++c) {
        const double value =
            kRoot2 * centred(mine.value[r][c], left, shared.column[lane + c * kWarpSize]);
        if (lane + c * kWarpSize < count) own[c * kWarpSize] = static_cast<Out>(value);
      }
    }
  }
};

// Workspace: sums (sites, center_sums(n)). out: rows of packed_size(n, biased), `stride` apart.
template <class Grid, typename In, typename Out>
void center_pack(Grid& grid, const In* gram, int64_t sites, int64_t n, bool biased, double* sums,
                 Out* out, int64_t stride, const Norms& norms = {}) {
  const int64_t tiles = lower_tiles(n, kCenterTile);
  if (tiles > 1) {
    grid.launch_warps(sites * tiles, TileSums<In>{gram, n, tiles, biased, sums});
  }
  grid.launch_warps(sites * tiles,
                    Center<In, Out>{gram, n, tiles, biased, sums, norms, out, stride});
}

}  // namespace vitprobe::kernels
