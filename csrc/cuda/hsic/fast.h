// All pairs of two models' layers at once, for float: acc += a b^T in large tiles (split.h).
//
// The result and its rules are simple.h's: fp32 within splits of at most 1,024, fp64 across them in
// a fixed order; of one matrix with itself only tiles on or below the diagonal are computed. Two
// bodies in order: SplitProduct, AddSplits.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/thread_block.h"
#include "cuda/hsic/simple.h"
#include "cuda/hsic/split.h"

namespace vitprobe::kernels {

// Block `index` adds elements index * kThreads + thread of the tiles from first_tile on to acc.
struct AddSplits {
  struct Shared {};

  SplitPlan plan;
  const float* partials;
  Accumulator acc;
  int64_t first_tile;

  template <class Block> VP_DEVICE void operator()(Block block, Shared&, int64_t index) const {
    block.each_thread([&](int thread) {
      const int64_t element = index * kThreads + thread;
      const int64_t tile = element / kSplitSize, within = element % kSplitSize;
      const Coordinate at = plan.tile(first_tile + tile);
      const int64_t row = at.row * kSplitTile + within / kSplitTile;
      const int64_t column = at.col * kSplitTile + within % kSplitTile;
      if (!acc.takes(row, column, plan.lower)) return;
      const float* splits = partials + tile * plan.splits * kSplitSize + within;
      double value = 0.0;
      for (int64_t s = 0; s < plan.splits; ++s) {
        value += static_cast<double>(splits[s * kSplitSize]);
      }
      acc.add(row, column, value, plan.lower);
    });
  }
};

// plan: plan_splits(La, Lb, m, whether a and b are one), its per_launch not 0. Workspace: partials
// (plan.partials(),), aligned to 16 bytes.
template <class Grid>
void hsic_accumulate_fast(Grid& grid, const Matrix<float>& a, const Matrix<float>& b,
                          const SplitPlan& plan, float* partials, const Accumulator& acc) {
  for (int64_t first = 0; first < plan.tiles; first += plan.per_launch) {
    const int64_t count =
        plan.tiles - first < plan.per_launch ? plan.tiles - first : plan.per_launch;
    grid.launch(count * plan.splits, SplitProduct{a, b, plan, first, partials});
    grid.launch(count * (kSplitSize / kThreads), AddSplits{plan, partials, acc, first});
  }
}

}  // namespace vitprobe::kernels
