// A B^T of two float matrices in large tiles, for many layers: what fast.h adds up.
//
//   a: (rows, k)    b: (columns, k)    row-major, any row stride, any alignment
//
// The result is cut into 128 x 128 tiles and K into splits of at most 1,024, short enough that
// tiles x splits fill a GPU and the same for every GPU. One block of 16 x 16 threads owns one tile
// and one split, sums it in fp32, 8 x 8 elements a thread, and writes its tile to `partials`; the
// splits of a tile are added in fp64, in order, by another body. So this one holds no fp64.
//
// 8 columns of either operand at a time lie in shared memory, transposed: a thread reads its
// elements of one column as quads (16 bytes), four loads for 64 FMAs. Two buffers: while one is
// multiplied, the next columns come from memory into registers, then into the other.
//
//   own rows of thread (ty, tx)       4 ty .. 4 ty + 3   and   64 + 4 ty .. 64 + 4 ty + 3
//   own columns                       4 tx .. 4 tx + 3   and   64 + 4 tx .. 64 + 4 tx + 3
//   row r of column k in memory       quad (r / 4) ^ 4 (k / 4 % 2) of column k: no bank conflicts
//                                     when a warp stores 16 rows of two quads of K, or reads back
//
// Memory floor: one read of a and b; a row is read once for every tile that it takes part in.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/split.h"
#include "common/tiles.h"
#include "cuda/device/thread_block.h"
#include "cuda/matrix.h"

namespace vitprobe::kernels {

constexpr int kSplitTile = 128;                                   // rows and columns of a tile
constexpr int kSplitSide = 16;                                    // threads along each side
constexpr int kSplitStep = 8;                                     // columns of K in one buffer
constexpr int kSplitQuads = kSplitTile / 4;                       // quads in one column of a buffer
constexpr int kSplitSize = kSplitTile * kSplitTile;               // elements of a tile
constexpr int64_t kSplitLongest = 1024, kSplitShortest = 128;     // of K, summed in fp32
constexpr int64_t kSplitBlocks = 256;                             // wanted in one launch
constexpr int64_t kSplitPartials = 512;                           // tiles kept at a time: 32 MiB
constexpr int kFetches = kSplitTile * kSplitStep / 4 / kThreads;  // quads a thread brings
static_assert(kSplitSide * kSplitSide == kThreads && kSplitSide * 8 == kSplitTile);
static_assert(kFetches * kThreads * 4 == kSplitTile * kSplitStep && kSplitStep == 8);

struct alignas(16) Quad {
  float at[4];
};

// How the work is cut; depends on the shapes only.
struct SplitPlan {
  bool lower;            // A A^T: tiles on or below the diagonal only
  int64_t tile_columns;  // tiles in one row of tiles, if not lower
  int64_t tiles;         // in all
  int64_t length;        // of a split, a multiple of kSplitStep
  int64_t splits;        // of K
  int64_t per_launch;    // tiles computed by one launch; 0: K is too long for the workspace

  VP_HD Coordinate tile(int64_t index) const { return tile_at(index, tile_columns, lower); }
  int64_t partials() const { return per_launch * splits * kSplitSize; }  // floats of workspace
};

// A square result is cut alike whether half of it is computed or all: the same bits.
inline SplitPlan plan_splits(int64_t rows, int64_t columns, int64_t k, bool lower,
                             int64_t limit = kSplitPartials) {
  const int64_t half = lower_tiles(rows, kSplitTile);
  const int64_t tile_columns = tile_rows(columns, kSplitTile);
  const int64_t all = tile_rows(rows, kSplitTile) * tile_columns;
  const int64_t wanted = ceil_div(kSplitBlocks, rows == columns ? half : all);
  int64_t length = ceil_div(ceil_div(k, wanted), kSplitStep) * kSplitStep;
  if (length < kSplitShortest) length = kSplitShortest;
  if (length > kSplitLongest) length = kSplitLongest;
  const int64_t tiles = lower ? half : all;
  const int64_t splits = ceil_div(k, length);
  const int64_t per_launch = limit / splits < tiles ? limit / splits : tiles;
  return {lower, tile_columns, tiles, length, splits, per_launch};
}

// Where row `row` of column `k` of a buffer lies, in quads of that column.
VP_HD inline int split_quad(int k, int row) { return (row / 4) ^ (4 * (k / 4 % 2)); }

struct SplitPlace {
  int row, k;
};

// The row, and the first of four columns, that a thread brings in its i-th fetch.
VP_HD inline SplitPlace split_fetch(int thread, int i) {
  const int place = thread + kThreads * i;
  return {place / (kSplitStep / 4), place % (kSplitStep / 4) * 4};
}

// Rows whose quads may be loaded whole: 16-byte aligned, and so is every row after them.
VP_HD inline bool quads_are_aligned(const Matrix<float>& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.stride % 4 == 0;
}

// Block `index`: split index % splits of tile first_tile + index / splits.
struct SplitProduct {
  static constexpr int kBlocks = 2;  // on a multiprocessor: 128 registers a thread
  using Buffer = Quad[kSplitStep][kSplitQuads];
  struct Shared {
    Buffer a[2], b[2];
  };
  struct Own {
    float sum[8][8];
    Quad next_a[kFetches], next_b[kFetches];
  };

  Matrix<float> a, b;  // the same one twice if plan.lower
  SplitPlan plan;
  int64_t first_tile;
  float* partials;  // (tiles of this launch, splits, kSplitTile, kSplitTile)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Coordinate at = plan.tile(first_tile + index / plan.splits);
    const Range split = run_range(a.columns, plan.length, index % plan.splits);
    const bool diagonal = plan.lower && at.row == at.col;  // then one staged tile is both
    const bool whole_a = quads_are_aligned(a), whole_b = quads_are_aligned(b);
    const int64_t row0 = at.row * kSplitTile, column0 = at.col * kSplitTile;
    auto& staged_b = diagonal ? shared.a : shared.b;
    typename Block::template PerThread<Own> own(block);

    const auto fetch_both = [&](Own& mine, int64_t k, int thread) {
      const int left = static_cast<int>(split.end - k);
      fetch(mine.next_a, a, whole_a, row0, k, left, thread);
      if (!diagonal) fetch(mine.next_b, b, whole_b, column0, k, left, thread);
    };
    const auto stage_both = [&](const Own& mine, int buffer, int thread) {
      stage(mine.next_a, shared.a[buffer], thread);
      if (!diagonal) stage(mine.next_b, shared.b[buffer], thread);
    };

    block.each_thread([&](int thread) {
      own[thread] = Own{};
      fetch_both(own[thread], split.begin, thread);
      stage_both(own[thread], 0, thread);
    });
    int buffer = 0;
    for (int64_t k = split.begin; k < split.end; k += kSplitStep) {
      const bool more = k + kSplitStep < split.end;
      block.each_thread([&](int thread) {
        if (more) fetch_both(own[thread], k + kSplitStep, thread);
        multiply(own[thread], shared.a[buffer], staged_b[buffer], thread);
        if (more) stage_both(own[thread], 1 - buffer, thread);
      });
      buffer = 1 - buffer;
    }
    float* tile = partials + index * kSplitSize;
    block.each_thread([&](int thread) { store(own[thread], tile, thread); });
  }

 private:
  // A thread's quads of the columns from k on, of which `left` are the split's; others: zeros.
  VP_DEVICE static void fetch(Quad (&next)[kFetches], const Matrix<float>& from, bool whole,
                              int64_t row0, int64_t k, int left, int thread) {
    VP_UNROLL
    for (int i = 0; i < kFetches; ++i) {
      const SplitPlace place = split_fetch(thread, i);
      next[i] = Quad{};
      if (row0 + place.row >= from.rows) continue;
      const float* values = from.data + (row0 + place.row) * from.stride + (k + place.k);
      if (whole && place.k + 4 <= left) {
        next[i] = *reinterpret_cast<const Quad*>(values);
        continue;
      }
      VP_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (place.k + e < left) next[i].at[e] = values[e];
      }
    }
  }

  VP_DEVICE static void stage(const Quad (&next)[kFetches], Buffer& buffer, int thread) {
    VP_UNROLL
    for (int i = 0; i < kFetches; ++i) {
      const auto [row, k] = split_fetch(thread, i);
      VP_UNROLL
      for (int e = 0; e < 4; ++e) {
        buffer[k + e][split_quad(k, row)].at[row % 4] = next[i].at[e];
      }
    }
  }

  VP_DEVICE static void multiply(Own& own, const Buffer& a, const Buffer& b, int thread) {
    const int ty = thread / kSplitSide, tx = thread % kSplitSide;
    VP_UNROLL
    for (int k = 0; k < kSplitStep; ++k) {
      Quad left[2], right[2];
      VP_UNROLL
      for (int half = 0; half < 2; ++half) {
        left[half] = a[k][split_quad(k, 4 * ty + 64 * half)];
        right[half] = b[k][split_quad(k, 4 * tx + 64 * half)];
      }
      VP_UNROLL
      for (int i = 0; i < 8; ++i) {
        VP_UNROLL
        for (int j = 0; j < 8; ++j) {
          own.sum[i][j] += left[i / 4].at[i % 4] * right[j / 4].at[j % 4];
        }
      }
    }
  }

  VP_DEVICE static void store(const Own& own, float* tile, int thread) {
    const int ty = thread / kSplitSide, tx = thread % kSplitSide;
    VP_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int row = 4 * ty + i % 4 + 64 * (i / 4);
      VP_UNROLL
      for (int half = 0; half < 2; ++half) {
        Quad quad;
        VP_UNROLL
        for (int e = 0; e < 4; ++e) quad.at[e] = own.sum[i][4 * half + e];
        *reinterpret_cast<Quad*>(tile + row * kSplitTile + 4 * tx + 64 * half) = quad;
      }
    }
  }
};

}  // namespace vitprobe::kernels
