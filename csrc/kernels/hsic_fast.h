// All pairs of two models' layers at once, for float: acc += a b^T in large tiles (slices.h).
//
// The result and its rules are hsic.h's: fp32 within slices of at most 1,024, fp64 across them in
// a fixed order; of one matrix with itself only tiles on or below the diagonal are computed. Two
// bodies in order: SliceProduct, AddSlices.
#pragma once

#include <cstdint>

#include "host_device.h"
#include "hsic.h"
#include "slices.h"
#include "thread_block.h"

namespace vitprobe::kernels {

// Block `index` adds elements index * kThreads + thread of the tiles from first_tile on to acc.
struct AddSlices {
  struct Shared {};

  SlicePlan plan;
  const float* partials;
  Accumulator acc;
  int64_t first_tile;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared&, int64_t index) const {
    block.each_thread([&](int thread) {
      const int64_t element = index * kThreads + thread;
      const int64_t tile = element / kSliceSize, within = element % kSliceSize;
      const Pair at = plan.tile(first_tile + tile);
      const int64_t row = at.row * kSliceTile + within / kSliceTile;
      const int64_t column = at.col * kSliceTile + within % kSliceTile;
      if (row >= acc.rows || column >= acc.columns || (plan.lower && column > row)) return;
      const float* slices = partials + tile * plan.slices * kSliceSize + within;
      double value = 0.0;
      for (int64_t s = 0; s < plan.slices; ++s) {
        value += static_cast<double>(slices[s * kSliceSize]);
      }
      acc.data[row * acc.row_stride + column * acc.column_stride] += value;
      if (plan.lower && column < row) {
        acc.data[column * acc.row_stride + row * acc.column_stride] += value;
      }
    });
  }
};

// plan: plan_slices(La, Lb, m, whether a and b are one), its chunk not 0. Workspace: partials
// (plan.partials(),), aligned to 16 bytes.
template <class Grid>
void hsic_accumulate_fast(Grid& grid, const Matrix<float>& a, const Matrix<float>& b,
                          const SlicePlan& plan, float* partials, const Accumulator& acc) {
  for (int64_t first = 0; first < plan.tiles; first += plan.chunk) {
    const int64_t count = plan.tiles - first < plan.chunk ? plan.tiles - first : plan.chunk;
    grid.launch(count * plan.slices, SliceProduct{a, b, plan, first, partials});
    grid.launch(count * (kSliceSize / kThreads), AddSlices{plan, partials, acc, first});
  }
}

}  // namespace vitprobe::kernels
