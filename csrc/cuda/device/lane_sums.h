// Sums over the lanes of a warp.
#pragma once

#include "common/host_device.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

// value(thread) of every lane becomes the sum over the warp's lanes, added pairwise.
template <class Block, class Value>
VP_DEVICE inline void add_lanes(Block block, int warp, const Value& value) {
  typename Block::template PerThread<double> other(block);
  VP_UNROLL
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2) {
    block.each_lane(warp, [&](int thread) { other[thread] = value(thread); });
    block.swap(warp, mask, [&](int thread) -> double& { return other[thread]; });
    block.each_lane(warp, [&](int thread) { value(thread) += other[thread]; });
  }
}

}  // namespace vitprobe::kernels
