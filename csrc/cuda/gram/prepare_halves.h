// How the columns of bf16 and f16 are shifted in a stage (prepare.h).
//
// The matrix unit adds up the unit's 8 columns: X^T (8 columns, 16 rows) times ones, two such
// products at once as the 16 rows of an A. X^T is what ldmatrix gives, transposed: lane l has
// column l/4. The mean is then tried on the first 32 rows; it is rarely exact in all of them, so
// most units are done: nothing is written.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/half_pairs.h"
#include "cuda/device/mma.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"
#include "cuda/gram/shift.h"
#include "cuda/gram/stage.h"

namespace vitprobe::kernels {

template <typename T, int rows> struct PrepareHalves {
  static constexpr int kOwnRows = rows / kWarpSize;
  struct Own {
    float mean;
    uint32_t shift;  // twice the same half
    uint32_t wrong;  // not 0 where the shift is not exact
  };

  int64_t columns;
  const float *shift, *mean;  // (columns,), or null

  // inverse: 1 / count, count: the rows of x that are in the stage; zeros follow.
  template <class Block>
  VP_DEVICE void operator()(Block block, SharedRows<rows>& stage, StageRests& rests, int count,
                            float inverse, int64_t index, int warp) const {
    typename Block::template PerThread<Own> own;
    if (shift == nullptr) {
      find(block, stage, own, inverse, warp);
    } else {
      block.each_lane(warp, [&](int thread) { look_up(own[thread], index, thread); });
    }
    const bool some = block.any(warp, [&](int thread) { return own[thread].shift != 0; });
    if (some) subtract(block, stage, own, count, warp);
    sum_rests(block, rests, own, warp);
  }

 private:
  template <class Block, class Owns>
  VP_DEVICE static void find(Block block, SharedRows<rows>& stage, Owns& own, float inverse,
                             int warp) {
    using Operands = typename Block::template PerThread<OperandFragment>;
    Operands first, ones;
    typename Block::template PerThread<AccumulatorFragment> sums[2];
    block.each_lane(warp, [&](int thread) {
      ones[thread] = {{kOnes<T>, kOnes<T>, 0, 0}};
      sums[0][thread] = sums[1][thread] = AccumulatorFragment{{0.0f, 0.0f, 0.0f, 0.0f}};
    });
    const auto read = [&](Operands& x, int j) {  // 32 rows
      block.ldmatrix_transposed(warp, x,
                                [&](int thread) { return own_unit(stage, thread) + j * kOwnStep; });
    };
    VP_UNROLL
    for (int j = kOwnRows - 1; j >= 0; --j) {
      read(first, j);
      block.template mma<T>(warp, sums[j % 2], sums[j % 2], first, ones, 0);
    }
    block.each_lane(warp, [&](int thread) {
      const AccumulatorFragment &even = sums[0][thread], &odd = sums[1][thread];
      const float sum = (even.at[0] + even.at[2]) + (odd.at[0] + odd.at[2]);
      own[thread].mean = sum * inverse;
      own[thread].shift = pair_of<T>(own[thread].mean, own[thread].mean);
      own[thread].wrong = 0;
    });
    block.each_lane(warp, [&](int thread) { try_out(first[thread], own[thread]); });
    agree(block, own, warp);
    const bool hope = block.any(
        warp, [&](int thread) { return own[thread].wrong == 0 && own[thread].shift != 0; });
    if (hope) {
      VP_UNROLL
      for (int j = 1; j < kOwnRows; ++j) {
        Operands x;
        read(x, j);
        block.each_lane(warp, [&](int thread) { try_out(x[thread], own[thread]); });
      }
      agree(block, own, warp);
    }
    block.each_lane(warp, [&](int thread) {
      if (!hope || own[thread].wrong != 0) own[thread].shift = 0;
    });
  }

  // x - shift is exact if and only if both can be had back from it.
  VP_DEVICE static void try_out(const OperandFragment& x, Own& own) {
    VP_UNROLL
    for (int i = 0; i < 4; ++i) {
      const uint32_t less = subtract_pairs<T>(x.at[i], own.shift);
      own.wrong |= add_pairs<T>(less, own.shift) ^ x.at[i];
      own.wrong |= subtract_pairs<T>(x.at[i], less) ^ own.shift;
    }
  }

  // Between the lanes of a column; 0 and -0 are the same.
  template <class Block, class Owns> VP_DEVICE static void agree(Block block, Owns& own, int warp) {
    block.each_lane(warp, [&](int thread) { own[thread].wrong &= ~kSigns; });
    typename Block::template PerThread<uint32_t> theirs;
    VP_UNROLL
    for (int mask = 1; mask <= 2; mask *= 2) {
      block.each_lane(warp, [&](int thread) { theirs[thread] = own[thread].wrong; });
      block.swap(warp, mask, [&](int thread) -> uint32_t& { return theirs[thread]; });
      block.each_lane(warp, [&](int thread) { own[thread].wrong |= theirs[thread]; });
    }
  }

  // What is given has been tried.
  VP_DEVICE void look_up(Own& own, int64_t index, int thread) const {
    const int64_t column = index * kStageColumns<T> + thread / 4;
    const bool inside = column < columns;
    const float by = inside ? shift[column] : 0.0f;
    own.mean = inside ? mean[column] : 0.0f;
    own.shift = pair_of<T>(by, by);
  }

  template <class Block, class Owns>
  VP_DEVICE static void subtract(Block block, SharedRows<rows>& stage, Owns& own, int count,
                                 int warp) {
    // Columns 2 i and 2 i + 1, lanes 8 i and 8 i + 4, are pair i of every row.
    typename Block::template PerThread<uint32_t> next, pair[4];
    block.each_lane(warp, [&](int thread) { next[thread] = own[thread].shift; });
    block.swap(warp, 4, [&](int thread) -> uint32_t& { return next[thread]; });
    VP_UNROLL
    for (int i = 0; i < 4; ++i) {
      block.each_lane(warp, [&](int thread) {
        pair[i][thread] = (own[thread].shift & 0xffffu) | (next[thread] & 0xffff0000u);
      });
      block.spread(
          warp, [&](int thread) -> uint32_t& { return pair[i][thread]; },
          [i](int) { return 8 * i; });
    }
    block.each_lane(warp, [&](int thread) {
      unsigned char* place = own_unit(stage, thread);
      VP_UNROLL
      for (int j = 0; j < kOwnRows; ++j) {
        Unit<uint32_t>& unit = *reinterpret_cast<Unit<uint32_t>*>(place + j * kOwnStep);
        Unit<uint32_t> x = unit;
        VP_UNROLL
        for (int i = 0; i < 4; ++i) x.at[i] = subtract_pairs<T>(x.at[i], pair[i][thread]);
        if (thread % kWarpSize + j * kWarpSize < count) unit = x;
      }
    });
  }

  template <class Block, class Owns>
  VP_DEVICE static void sum_rests(Block block, StageRests& rests, Owns& own, int warp) {
    typename Block::template PerThread<float> sum, more;
    block.each_lane(warp, [&](int thread) {
      const float left = own[thread].mean - widen(first_of<T>(own[thread].shift));
      sum[thread] = -left * left;
    });
    VP_UNROLL
    for (int mask = 4; mask <= 16; mask *= 2) {
      block.each_lane(warp, [&](int thread) { more[thread] = sum[thread]; });
      block.swap(warp, mask, [&](int thread) -> float& { return more[thread]; });
      block.each_lane(warp, [&](int thread) { sum[thread] += more[thread]; });
    }
    block.each_lane(warp, [&](int thread) {
      if (thread % kWarpSize == 0) rests.of_unit[warp] = sum[thread];
    });
  }
};

}  // namespace vitprobe::kernels
