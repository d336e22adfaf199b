// A B^T of two tall-and-wide matrices, or the lower half of A A^T, cut along K and summed in a
// fixed order: the same bits in every run, on every GPU of one architecture.
//
//   a: (rows, k)      b: (columns, k)      row-major, any row stride, any alignment
//   shift: (k,)       subtracted from every row of both, or null
//
// The result is cut into 64 x 64 tiles, K into runs of 512 and the runs into splits. One block of
// 16 x 16 threads owns one tile and one split. It stages 64 rows x 32 columns of either operand
// in shared memory, widened and shifted; each thread owns 4 x 4 elements of the tile, sums a run
// in fp32 (fp64 for double) and adds the run to its fp64 sums. The block's fp64 tile goes to
// `partials`; a second body adds a tile's splits in order (Gathered below) and stores the result.
//
//        tile of A B^T              K ->
//   col0 .. col0 + 63      row0 | run 0 | run 1 || run 2 | run 3 || ...
//                               |   split 0     ||    split 1    ||
//
// Memory floor: one read of A and B. This version reads a row once for every tile it takes part
// in (the Gram matrix of n = 256: four times) and issues one load from shared memory for two
// FMAs: it is written to be certain, not fast. Partial sums: at most 1,024 tiles of 32 KiB.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/split.h"
#include "common/tiles.h"
#include "common/widen.h"
#include "cuda/device/thread_block.h"
#include "cuda/matrix.h"

namespace vitprobe::kernels {

constexpr int kProductTile = 64;  // rows and columns of a tile
constexpr int kProductStep = 32;  // columns of K in shared memory
constexpr int kProductSide = 16;  // threads along each side of a tile
constexpr int kProductOwn =
    kProductTile / kProductSide;  // a thread owns rows ty, ty + 16, ty + 32, ty + 48
constexpr int kProductSize = kProductTile * kProductTile;  // elements of a tile
constexpr int64_t kProductRun = 512;                       // of K, summed in fp32
constexpr int64_t kProductPartials = 1024;                 // tiles of partial sums kept at a time
static_assert(kProductSide * kProductSide == kThreads && kThreads % kProductStep == 0 &&
              kProductRun % kProductStep == 0);

// How the work is cut; depends on the shapes only.
struct ProductPlan {
  bool lower;            // A A^T: tiles on or below the diagonal only
  int64_t tile_columns;  // tiles in one row of tiles, if not lower
  int64_t tiles;         // in all
  int64_t runs, splits;  // of K
  int64_t per_launch;    // tiles computed by one launch

  VP_HD Coordinate tile(int64_t index) const { return tile_at(index, tile_columns, lower); }
  int64_t partials() const { return per_launch * splits * kProductSize; }  // doubles of workspace
};

// Shares until the tiles fill `limit`: enough blocks for a GPU, in bounded workspace.
inline ProductPlan plan_product(int64_t rows, int64_t columns, int64_t k, bool lower,
                                int64_t limit = kProductPartials) {
  const int64_t tile_columns = tile_rows(columns, kProductTile);
  const int64_t tiles =
      lower ? lower_tiles(rows, kProductTile) : tile_rows(rows, kProductTile) * tile_columns;
  const int64_t runs = ceil_div(k, kProductRun);
  int64_t splits = limit / tiles;
  if (splits > runs) splits = runs;
  if (splits < 1) splits = 1;
  const int64_t per_launch = limit / splits < tiles ? limit / splits : tiles;
  return {lower, tile_columns, tiles, runs, splits, per_launch};
}

// Block `index`: split index % splits of tile first_tile + index / splits.
template <typename T> struct Product {
  using Run = Widened<T>;
  struct Shared {
    Run a[kProductTile][kProductStep + 1],
        b[kProductTile][kProductStep + 1];  // one column more: no bank conflicts
  };
  struct Own {
    Run run[kProductOwn][kProductOwn];
    double sum[kProductOwn][kProductOwn];
  };

  Matrix<T> a, b;    // the same one twice if plan.lower
  const Run* shift;  // (k,) or null
  ProductPlan plan;
  int64_t first_tile;
  double* partials;  // (tiles of this launch, splits, kProductTile, kProductTile)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Coordinate at = plan.tile(first_tile + index / plan.splits);
    const Range split = share_range(plan.runs, plan.splits, index % plan.splits);
    const bool diagonal = plan.lower && at.row == at.col;  // then one staged tile is both
    auto& staged_b = diagonal ? shared.a : shared.b;
    typename Block::template PerThread<Own> own(block);

    block.each_thread([&](int thread) { own[thread] = Own{}; });
    for (int64_t r = split.begin; r < split.end; ++r) {
      const Range run = run_range(a.columns, kProductRun, r);
      for (int64_t k = run.begin; k < run.end; k += kProductStep) {
        block.each_thread([&](int thread) {
          stage(shared.a, a, at.row * kProductTile, {k, run.end}, thread);
          if (!diagonal) stage(shared.b, b, at.col * kProductTile, {k, run.end}, thread);
        });
        block.each_thread([&](int thread) { multiply(own[thread], shared.a, staged_b, thread); });
      }
      block.each_thread([&](int thread) { flush(own[thread]); });
    }
    double* tile = partials + index * kProductSize;
    block.each_thread([&](int thread) { store(own[thread], tile, thread); });
  }

 private:
  // 64 rows x 32 columns; neighbouring threads read neighbouring columns. Outside: zeros.
  VP_DEVICE void stage(Run (&tile)[kProductTile][kProductStep + 1], const Matrix<T>& from,
                       int64_t row0, Range columns, int thread) const {
    const int step = thread % kProductStep;
    const int64_t column = columns.begin + step;
    const bool inside = column < columns.end;
    const Run offset = inside && shift != nullptr ? shift[column] : Run(0);
    VP_UNROLL
    for (int row = thread / kProductStep; row < kProductTile; row += kThreads / kProductStep) {
      const int64_t i = row0 + row;
      tile[row][step] =
          inside && i < from.rows ? widen(from.data[i * from.stride + column]) - offset : Run(0);
    }
  }

  VP_DEVICE static void multiply(Own& own, const Run (&a)[kProductTile][kProductStep + 1],
                                 const Run (&b)[kProductTile][kProductStep + 1], int thread) {
    const int ty = thread / kProductSide, tx = thread % kProductSide;
    for (int k = 0; k < kProductStep; ++k) {
      Run left[kProductOwn], right[kProductOwn];
      VP_UNROLL
      for (int i = 0; i < kProductOwn; ++i) {
        left[i] = a[ty + kProductSide * i][k];
        right[i] = b[tx + kProductSide * i][k];
      }
      VP_UNROLL
      for (int i = 0; i < kProductOwn; ++i) {
        VP_UNROLL
        for (int j = 0; j < kProductOwn; ++j) own.run[i][j] += left[i] * right[j];
      }
    }
  }

  VP_DEVICE static void flush(Own& own) {
    VP_UNROLL
    for (int i = 0; i < kProductOwn; ++i) {
      VP_UNROLL
      for (int j = 0; j < kProductOwn; ++j) {
        own.sum[i][j] += static_cast<double>(own.run[i][j]);
        own.run[i][j] = Run(0);
      }
    }
  }

  VP_DEVICE static void store(const Own& own, double* tile, int thread) {
    const int ty = thread / kProductSide, tx = thread % kProductSide;
    VP_UNROLL
    for (int i = 0; i < kProductOwn; ++i) {
      VP_UNROLL
      for (int j = 0; j < kProductOwn; ++j) {
        tile[(ty + kProductSide * i) * kProductTile + tx + kProductSide * j] = own.sum[i][j];
      }
    }
  }
};

// One element of the product: all its splits, added in order.
struct Gathered {
  int64_t row, column;  // may lie outside the result, in a tile that reaches over its edge
  double value;
};

VP_DEVICE inline Gathered gather(const ProductPlan& plan, const double* partials,
                                 int64_t first_tile, int64_t element) {
  const int64_t tile = element / kProductSize, within = element % kProductSize;
  const Coordinate at = plan.tile(first_tile + tile);
  double value = 0.0;
  for (int64_t split = 0; split < plan.splits; ++split) {
    value += partials[(tile * plan.splits + split) * kProductSize + within];
  }
  return {at.row * kProductTile + within / kProductTile,
          at.col * kProductTile + within % kProductTile, value};
}

// The whole product, a bounded number of tiles at a time. `emit` is the second body: its block
// `index` stores elements index * kThreads + thread of the tiles from first_tile on.
template <class Grid, typename T, class Emit>
void run_product(Grid& grid, Product<T> product, Emit emit) {
  const ProductPlan& plan = product.plan;
  for (int64_t first = 0; first < plan.tiles; first += plan.per_launch) {
    const int64_t count =
        plan.tiles - first < plan.per_launch ? plan.tiles - first : plan.per_launch;
    product.first_tile = emit.first_tile = first;
    grid.launch(count * plan.splits, product);
    grid.launch(count * (kProductSize / kThreads), emit);
  }
}

}  // namespace vitprobe::kernels
