// How the columns of floats are shifted in a stage (prepare.h).
//
// Every lane sums what its rows differ from row 0 by, and subtracts row 0 and the mean of that: a
// constant column gives exact zeros. What is stored may be rounded to TF32.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"
#include "cuda/gram/shift.h"
#include "cuda/gram/stage.h"

namespace vitprobe::kernels {

template <class Math, int rows> struct PrepareFloats {
  static constexpr int kOwnRows = rows / kWarpSize;
  struct Own {
    float less[kOwnRows][4];  // the lane's rows, less row 0 (or the shift that is given)
    float sums[4];
  };

  int64_t columns;
  const float* shift;  // (columns,), or null
  const float* mean;   // not read: it is the shift

  template <class Block>
  VP_DEVICE void operator()(Block block, SharedRows<rows>& stage, StageRests&, int count,
                            float inverse, int64_t index, int warp) const {
    typename Block::template PerThread<Own> own;
    block.each_lane(warp, [&](int thread) {
      Own& mine = own[thread];
      const unsigned char* place = own_unit(stage, thread);
      const Unit<float> first = shift == nullptr
                                    ? *reinterpret_cast<Unit<float>*>(stage.at(0, warp))
                                    : look_up(index, warp);
      VP_UNROLL
      for (int c = 0; c < 4; ++c) mine.sums[c] = 0.0f;
      VP_UNROLL
      for (int j = 0; j < kOwnRows; ++j) {
        const Unit<float> x = *reinterpret_cast<const Unit<float>*>(place + j * kOwnStep);
        const float counts = thread % kWarpSize + j * kWarpSize < count ? 1.0f : 0.0f;
        VP_UNROLL
        for (int c = 0; c < 4; ++c) {
          mine.less[j][c] = x.at[c] - first.at[c];
          mine.sums[c] += counts * mine.less[j][c];
        }
      }
    });
    if (shift == nullptr) {
      add_across(block, own, warp);
    } else {
      block.each_lane(warp, [&](int thread) {
        VP_UNROLL
        for (int c = 0; c < 4; ++c) own[thread].sums[c] = 0.0f;
      });
    }
    block.sync_warp();  // row 0 has been read by all
    block.each_lane(warp, [&](int thread) {
      const Own& mine = own[thread];
      unsigned char* place = own_unit(stage, thread);
      VP_UNROLL
      for (int j = 0; j < kOwnRows; ++j) {
        Unit<float> x;
        VP_UNROLL
        for (int c = 0; c < 4; ++c) {
          x.at[c] = Math::stored(mine.less[j][c] - mine.sums[c] * inverse);
        }
        if (thread % kWarpSize + j * kWarpSize < count) {
          *reinterpret_cast<Unit<float>*>(place + j * kOwnStep) = x;
        }
      }
    });
  }

 private:
  VP_DEVICE Unit<float> look_up(int64_t index, int warp) const {
    const int64_t column = index * kStageColumns<float> + warp * kUnitColumns<float>;
    Unit<float> found;
    VP_UNROLL
    for (int c = 0; c < 4; ++c) found.at[c] = column + c < columns ? shift[column + c] : 0.0f;
    return found;
  }

  // The sums of all lanes, for all lanes: two exchanges leave a lane the sum of column
  // l/16 2 + l/8%2 over four lanes; three more complete it.
  template <class Block, class Owns>
  VP_DEVICE static void add_across(Block block, Owns& own, int warp) {
    halve<2>(block, own, 16, warp);
    halve<1>(block, own, 8, warp);
    typename Block::template PerThread<float> more;
    VP_UNROLL
    for (int mask = 4; mask >= 1; mask /= 2) {
      block.each_lane(warp, [&](int thread) { more[thread] = own[thread].sums[0]; });
      block.swap(warp, mask, [&](int thread) -> float& { return more[thread]; });
      block.each_lane(warp, [&](int thread) { own[thread].sums[0] += more[thread]; });
    }
    VP_UNROLL
    for (int c = 3; c >= 0; --c) {
      block.each_lane(warp, [&](int thread) { own[thread].sums[c] = own[thread].sums[0]; });
      block.spread(
          warp, [&](int thread) -> float& { return own[thread].sums[c]; },
          [c](int) { return c / 2 * 16 + c % 2 * 8; });
    }
  }

  // Lanes with and without bit `mask` share 2 keep sums, each keeping half of them.
  template <int keep, class Block, class Owns>
  VP_DEVICE static void halve(Block block, Owns& own, int mask, int warp) {
    typename Block::template PerThread<float> sent[keep];
    VP_UNROLL
    for (int c = 0; c < keep; ++c) {
      block.each_lane(warp, [&](int thread) {
        float &low = own[thread].sums[c], high = own[thread].sums[c + keep];
        const bool upper = (thread & mask) != 0;
        sent[c][thread] = upper ? low : high;
        low = upper ? high : low;
      });
      block.swap(warp, mask, [&](int thread) -> float& { return sent[c][thread]; });
      block.each_lane(warp, [&](int thread) { own[thread].sums[c] += sent[c][thread]; });
    }
  }
};

}  // namespace vitprobe::kernels
