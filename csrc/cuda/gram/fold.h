// Partial results of split.h -> the packed lower triangle, in fp64 and in a fixed order.
//
// A block owns 32 neighbouring elements; part w of 8 adds splits w, w + 8, ..., then one thread to
// an element adds the parts. So the sum over some hundred splits is short for every thread, all
// multiprocessors take part, and the bits are the same in every run.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "cuda/device/thread_block.h"
#include "cuda/gram/warp_tiles.h"

namespace vitprobe::kernels {

template <class Tiles> struct FoldBlock {
  static constexpr int kElements = 32, kParts = kThreads / kElements;
  static constexpr int kBlocksPerTile = Tiles::kSize / kElements;  // for one block of rows
  static_assert(Tiles::kSize % kElements == 0);
  struct Shared {
    double sums[kParts][kElements];
  };

  // Elements kElements * index .. + kElements - 1 of one block of rows, of `splits` partial results
  // (times groups) that follow each other; added to what is there, or stored.
  template <class Block>
  VP_DEVICE static void run(Block block, Shared& shared, int64_t n, const BlockRows& rows,
                            int index, const float* partials, int64_t splits, bool add,
                            double* packed) {
    const int within = index * kElements;
    const auto place = [&](int thread) {  // in the whole matrix
      const int element = within + thread % kElements;
      const Coordinate at =
          Tiles::element(element / Tiles::kThreadsEach, element % Tiles::kThreadsEach);
      return Coordinate{at.row < rows.count ? rows.row(at.row) : n, rows.row(at.col)};
    };
    block.each_thread([&](int thread) {
      const Coordinate at = place(thread);
      const int part = thread / kElements;
      const float* own = partials + within + thread % kElements;
      double sum = 0.0;
      if (at.row < n && at.col <= at.row) {
#if defined(__CUDACC__)
#pragma unroll 8
#endif
        for (int64_t s = part; s < splits; s += kParts) {
          sum += static_cast<double>(own[s * Tiles::kSize]);
        }
      }
      shared.sums[part][thread % kElements] = sum;
    });
    block.each_thread([&](int thread) {
      const Coordinate at = place(thread);
      if (thread >= kElements || at.row >= n || at.col > at.row) return;
      double& out = packed[packed_index(at.row, at.col, true)];
      double sum = add ? out : 0.0;
      for (int part = 0; part < kParts; ++part) sum += shared.sums[part][thread];
      out = sum;
    });
  }
};

// Block `index`: of the launch's blocks of rows from first_block on, number index / kBlocksPerTile.
template <class Tiles> struct GramFold {
  using Own = FoldBlock<Tiles>;
  using Shared = typename Own::Shared;

  int64_t n;
  int64_t first_block;
  int64_t splits;  // times groups
  bool add;        // to what an earlier pass left
  const float* partials;
  double* packed;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t of_rows = index / Own::kBlocksPerTile;
    Own::run(block, shared, n, block_rows(n, Tiles::kCorner, first_block + of_rows),
             static_cast<int>(index % Own::kBlocksPerTile),
             partials + of_rows * splits * Tiles::kSize, splits, add, packed);
  }
};

}  // namespace vitprobe::kernels
