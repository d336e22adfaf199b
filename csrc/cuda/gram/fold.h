// Partial results of split.h -> the packed lower triangle, in fp64 and in a fixed order; beside it,
// the first example's sum of squares, for which no launch of its own is worth its while.
//
// A thread adds four neighbouring elements, 16 bytes of each partial result. Of many partial
// results, a block's threads are parts 0 .. parts-1: part w adds splits w, w + parts, ..., then the
// parts are added in order. So the sum over some hundred splits is short for every thread, one over
// a few splits takes few threads, and the bits are the same in every run.
//
// Element e of a partial result is value e / kThreadsEach of thread e % kThreadsEach of a group
// (warp_tiles.h): four neighbours are four lanes' element of one row, two columns apart.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "cuda/device/lane_sums.h"
#include "cuda/device/warps.h"
#include "cuda/gram/warp_tiles.h"

namespace vitprobe::kernels {

constexpr int kFoldQuad = 4;        // elements of a thread
constexpr int kFoldLogParts = 5;    // 32 parts at most
constexpr int kFoldTurns = 16;      // partial results to a part, while there are parts
constexpr int kFoldSquares = 4096;  // of the first example, for one block, while there are blocks

// The parts, as a power of two, for so many partial results.
inline int fold_log_parts(int64_t splits) {
  int log_parts = 0;
  while (log_parts < kFoldLogParts && splits > kFoldTurns << log_parts) ++log_parts;
  return log_parts;
}

// Parts of the first example's sum of squares that a site has at most.
constexpr int64_t kMostSquares =
    (int64_t{GramTiles<kMostRows, false>::kSize} << kFoldLogParts) / (kFoldQuad * kThreads);

// What a site gives beside its partial results: the first example, whose squares are summed.
template <typename T> struct FirstExample {
  const T* data;
  int64_t columns;
};

template <class Tiles, typename T> struct FoldBlock {
  static constexpr int kQuad = kFoldQuad;
  static constexpr int kBlocks = Tiles::kSize / (kQuad * kThreads);  // for a part
  static_assert(Tiles::kSize % (kQuad * kThreads) == 0);
  struct alignas(16) Quad {
    float at[kQuad];
  };
  struct Shared {
    double sums[kThreads][kQuad];
    double squares[kWarps];
  };
  struct Own {
    double sum[kQuad];
    int row, column;  // of the first element, within the block's rows
  };

  VP_HD static constexpr int blocks(int log_parts) { return kBlocks << log_parts; }

  // Block `index` of blocks(log_parts), of `splits` partial results (times groups) that follow each
  // other; added to what is there, or stored. squares: null, or where its own sum goes.
  template <class Block>
  VP_DEVICE static void run(Block block, Shared& shared, int64_t n, const BlockRows& rows,
                            int index, int log_parts, const float* partials, int splits, bool add,
                            const FirstExample<T>& first, double* packed, double* squares) {
    const int each = kThreads >> log_parts;  // threads of a part
    typename Block::template PerThread<Own> own(block);
    typename Block::template PerThread<double> square(block);

    block.each_thread([&](int thread) {
      const int element = kQuad * (index * each + (thread & (each - 1)));
      const int part = (thread << log_parts) / kThreads;
      const Coordinate at =
          Tiles::element(element / Tiles::kThreadsEach, element % Tiles::kThreadsEach);
      Own& mine = own[thread] = Own{{}, static_cast<int>(at.row), static_cast<int>(at.col)};
      if (inside(rows, n, mine)) {
        const float* from = partials + element + int64_t{part} * Tiles::kSize;
        const int turns = (splits - part + (1 << log_parts) - 1) >> log_parts;
        const int64_t step = int64_t{Tiles::kSize} << log_parts;
        VP_UNROLL_4
        for (int turn = 0; turn < turns; ++turn) {
          const Quad quad = *reinterpret_cast<const Quad*>(from + turn * step);
          VP_UNROLL
          for (int e = 0; e < kQuad; ++e) mine.sum[e] += static_cast<double>(quad.at[e]);
        }
      }
      if (log_parts > 0) {
        VP_UNROLL
        for (int e = 0; e < kQuad; ++e) shared.sums[thread][e] = mine.sum[e];
      }
    });
    const int64_t shares = first.columns / kFoldSquares + 1;  // blocks that sum squares
    const int count = shares < blocks(log_parts) ? static_cast<int>(shares) : blocks(log_parts);
    if (squares != nullptr && index < count) {
      block.each_warp([&](int warp) {
        block.each_lane(warp, [&](int thread) {
          square[thread] = sum_squares(first, index * kThreads + thread, count * kThreads);
        });
        add_lanes(block, warp, [&](int thread) -> double& { return square[thread]; });
        block.each_lane(warp, [&](int thread) {
          if (thread % kWarpSize == 0) shared.squares[warp] = square[thread];
        });
      });
    }
    block.each_thread([&](int thread) {
      if (squares != nullptr && thread == 0) {
        double sum = 0.0;
        for (int warp = 0; warp < kWarps && index < count; ++warp) sum += shared.squares[warp];
        squares[index] = sum;
      }
      const Own& mine = own[thread];
      if (thread >= each || !inside(rows, n, mine)) return;
      const int64_t row = rows.row(mine.row);
      const int64_t left = row - rows.row(mine.column);  // columns up to the diagonal
      double* to = packed + packed_index(row, rows.row(mine.column), true);
      VP_UNROLL
      for (int e = 0; e < kQuad; ++e) {
        if (2 * e > left) continue;
        double sum = mine.sum[e] + (add ? to[2 * e] : 0.0);
        VP_LOOP
        for (int other = thread + each; other < kThreads; other += each) {
          sum += shared.sums[other][e];
        }
        to[2 * e] = sum;
      }
    });
  }

 private:
  // Whether the first of a thread's elements, and so any, is one of the lower triangle.
  VP_DEVICE static bool inside(const BlockRows& rows, int64_t n, const Own& own) {
    if (own.row >= rows.count) return false;
    return Tiles::kCorner ? rows.row(own.row) < n : own.column <= own.row;
  }

  // Every `step`-th square of the first example, from one of them on.
  VP_DEVICE static double sum_squares(const FirstExample<T>& first, int from, int step) {
    double sum = 0.0;
    VP_UNROLL_4
    for (int64_t c = from; c < first.columns; c += step) {
      const double value = static_cast<double>(widen(first.data[c]));
      sum += value * value;
    }
    return sum;
  }
};

// Block `index`: of the launch's blocks of rows from first_block on, number
// index / blocks(log_parts).
template <class Tiles, typename T> struct GramFold {
  using Own = FoldBlock<Tiles, T>;
  using Shared = typename Own::Shared;
  static constexpr int kBlocksEach = 4;

  int64_t n;
  int64_t first_block;
  int splits;  // times groups
  int log_parts;
  bool add;  // to what an earlier pass left
  const float* partials;
  FirstExample<T> first;
  double* packed;
  double* squares;  // (blocks(log_parts),), or null

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int of_rows = static_cast<int>(index >> log_parts) / Own::kBlocks;
    Own::run(block, shared, n, block_rows(n, Tiles::kCorner, first_block + of_rows),
             static_cast<int>(index) - of_rows * Own::blocks(log_parts), log_parts,
             partials + int64_t{of_rows} * splits * Tiles::kSize, splits, add, first, packed,
             of_rows == 0 ? squares : nullptr);
  }
};

}  // namespace vitprobe::kernels
