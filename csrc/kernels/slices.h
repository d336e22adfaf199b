// A B^T of two float matrices in large tiles, for many layers: what hsic_fast.h adds up.
//
//   a: (rows, k)    b: (columns, k)    row-major, any row stride, any alignment
//
// The result is cut into 128 x 128 tiles and K into slices of at most 1,024, short enough that
// tiles x slices fill a GPU and the same for every GPU. One block of 16 x 16 threads owns one tile
// and one slice, sums it in fp32, 8 x 8 elements a thread, and writes its tile to `partials`; the
// slices of a tile are added in fp64, in order, by another body. So this one holds no fp64.
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

#include "host_device.h"
#include "product.h"
#include "split.h"
#include "thread_block.h"
#include "tiles.h"

namespace vitprobe::kernels {

constexpr int kSliceTile = 128;                       // rows and columns of a tile
constexpr int kSliceStep = 8;                         // columns of K in one buffer
constexpr int kSliceQuads = kSliceTile / 4;           // quads in one column of a buffer
constexpr int kSliceSize = kSliceTile * kSliceTile;   // elements of a tile
constexpr int64_t kSliceLongest = 1024, kSliceShortest = 128;     // of K, summed in fp32
constexpr int64_t kSliceBlocks = 256;                             // wanted in one launch
constexpr int64_t kSlicePartials = 512;                           // tiles kept at a time: 32 MiB
constexpr int kFetches = kSliceTile * kSliceStep / 4 / kThreads;  // quads a thread brings
static_assert(kSide * kSide == kThreads && kSide * 8 == kSliceTile);
static_assert(kFetches * kThreads * 4 == kSliceTile * kSliceStep && kSliceStep == 8);

struct alignas(16) Quad {
  float at[4];
};

// How the work is cut; depends on the shapes only.
struct SlicePlan {
  bool lower;            // A A^T: tiles on or below the diagonal only
  int64_t tile_columns;  // tiles in one row of tiles, if not lower
  int64_t tiles;         // in all
  int64_t length;        // of a slice, a multiple of kSliceStep
  int64_t slices;        // of K
  int64_t chunk;         // tiles computed by one launch; 0: K is too long for the workspace

  VP_HD Pair tile(int64_t index) const {
    return lower ? lower_tile(index) : Pair{index / tile_columns, index % tile_columns};
  }
  int64_t partials() const { return chunk * slices * kSliceSize; }  // floats of workspace
};

// A square result is cut alike whether half of it is computed or all: the same bits.
inline SlicePlan plan_slices(int64_t rows, int64_t columns, int64_t k, bool lower,
                             int64_t limit = kSlicePartials) {
  const int64_t half = lower_tiles(rows, kSliceTile);
  const int64_t tile_columns = tile_rows(columns, kSliceTile);
  const int64_t all = tile_rows(rows, kSliceTile) * tile_columns;
  const int64_t wanted = run_count(kSliceBlocks, rows == columns ? half : all);
  int64_t length = run_count(run_count(k, wanted), kSliceStep) * kSliceStep;
  if (length < kSliceShortest) length = kSliceShortest;
  if (length > kSliceLongest) length = kSliceLongest;
  const int64_t tiles = lower ? half : all;
  const int64_t slices = run_count(k, length);
  const int64_t chunk = limit / slices < tiles ? limit / slices : tiles;
  return {lower, tile_columns, tiles, length, slices, chunk};
}

// Where row `row` of column `k` of a buffer lies, in quads of that column.
VP_HD inline int slice_quad(int k, int row) { return (row / 4) ^ (4 * (k / 4 % 2)); }

struct SlicePlace {
  int row, k;
};

// The row, and the first of four columns, that a thread brings in its i-th fetch.
VP_HD inline SlicePlace slice_fetch(int thread, int i) {
  const int place = thread + kThreads * i;
  return {place / (kSliceStep / 4), place % (kSliceStep / 4) * 4};
}

// Rows whose quads may be loaded whole: 16-byte aligned, and so is every row after them.
VP_HD inline bool quads_are_aligned(const Matrix<float>& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.stride % 4 == 0;
}

// Block `index`: slice index % slices of tile first_tile + index / slices.
struct SliceProduct {
  static constexpr int kBlocks = 2;  // on a multiprocessor: 128 registers a thread
  using Buffer = Quad[kSliceStep][kSliceQuads];
  struct Shared {
    Buffer a[2], b[2];
  };
  struct Own {
    float sum[8][8];
    Quad next_a[kFetches], next_b[kFetches];
  };

  Matrix<float> a, b;  // the same one twice if plan.lower
  SlicePlan plan;
  int64_t first_tile;
  float* partials;  // (tiles of this launch, slices, kSliceTile, kSliceTile)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Pair at = plan.tile(first_tile + index / plan.slices);
    const Range slice = run_range(a.columns, plan.length, index % plan.slices);
    const bool diagonal = plan.lower && at.row == at.col;  // then one staged tile is both
    const bool whole_a = quads_are_aligned(a), whole_b = quads_are_aligned(b);
    const int64_t row0 = at.row * kSliceTile, column0 = at.col * kSliceTile;
    auto& staged_b = diagonal ? shared.a : shared.b;
    typename Block::template PerThread<Own> own(block);

    const auto fetch_both = [&](Own& mine, int64_t k, int thread) {
      const int left = static_cast<int>(slice.end - k);
      fetch(mine.next_a, a, whole_a, row0, k, left, thread);
      if (!diagonal) fetch(mine.next_b, b, whole_b, column0, k, left, thread);
    };
    const auto stage_both = [&](const Own& mine, int buffer, int thread) {
      stage(mine.next_a, shared.a[buffer], thread);
      if (!diagonal) stage(mine.next_b, shared.b[buffer], thread);
    };

    block.each_thread([&](int thread) {
      own[thread] = Own{};
      fetch_both(own[thread], slice.begin, thread);
      stage_both(own[thread], 0, thread);
    });
    int buffer = 0;
    for (int64_t k = slice.begin; k < slice.end; k += kSliceStep) {
      const bool more = k + kSliceStep < slice.end;
      block.each_thread([&](int thread) {
        if (more) fetch_both(own[thread], k + kSliceStep, thread);
        multiply(own[thread], shared.a[buffer], staged_b[buffer], thread);
        if (more) stage_both(own[thread], 1 - buffer, thread);
      });
      buffer = 1 - buffer;
    }
    float* tile = partials + index * kSliceSize;
    block.each_thread([&](int thread) { store(own[thread], tile, thread); });
  }

 private:
  // A thread's quads of the columns from k on, of which `left` are the slice's; others: zeros.
  VP_DEVICE static void fetch(Quad (&next)[kFetches], const Matrix<float>& from, bool whole,
                              int64_t row0, int64_t k, int left, int thread) {
    VP_UNROLL
    for (int i = 0; i < kFetches; ++i) {
      const SlicePlace place = slice_fetch(thread, i);
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
      const auto [row, k] = slice_fetch(thread, i);
      VP_UNROLL
      for (int e = 0; e < 4; ++e) {
        buffer[k + e][slice_quad(k, row)].at[row % 4] = next[i].at[e];
      }
    }
  }

  VP_DEVICE static void multiply(Own& own, const Buffer& a, const Buffer& b, int thread) {
    const int ty = thread / kSide, tx = thread % kSide;
    VP_UNROLL
    for (int k = 0; k < kSliceStep; ++k) {
      Quad left[2], right[2];
      VP_UNROLL
      for (int half = 0; half < 2; ++half) {
        left[half] = a[k][slice_quad(k, 4 * ty + 64 * half)];
        right[half] = b[k][slice_quad(k, 4 * tx + 64 * half)];
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
    const int ty = thread / kSide, tx = thread % kSide;
    VP_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int row = 4 * ty + i % 4 + 64 * (i / 4);
      VP_UNROLL
      for (int half = 0; half < 2; ++half) {
        Quad quad;
        VP_UNROLL
        for (int e = 0; e < 4; ++e) quad.at[e] = own.sum[i][4 * half + e];
        *reinterpret_cast<Quad*>(tile + row * kSliceTile + 4 * tx + 64 * half) = quad;
      }
    }
  }
};

}  // namespace vitprobe::kernels
