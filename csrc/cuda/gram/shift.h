// What is subtracted from a column of x before it is multiplied, and what then remains of its mean.
//
// CKA does not change when one vector is subtracted from every row; subtracting the column mean
// removes the cancellation that large means cause in fp32 sums.
//
//   f32        the mean itself, relative to row 0: a constant column gives exact zeros
//   bf16, f16  x - mean is not such a number, so the shift is the mean rounded to the type, in
//              columns where x - shift is exact in every row; elsewhere 0. That is where the mean
//              is large: above three to four standard deviations (Sterbenz). Were it exact in most
//              rows only, the others' errors would be hundreds of times those of the sums.
//
// `rest` is the square of the mean that remains. The sum of it over the columns is one number that
// all elements of the Gram matrix have in common, so centring drops it: split.h starts its sums at
// minus that number and they stay small. (Any number would do: a rough mean serves.)
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/narrow.h"
#include "common/widen.h"
#include "cuda/device/half_pairs.h"
#include "cuda/device/warps.h"
#include "cuda/gram/simple.h"

namespace vitprobe::kernels {

template <typename T> VP_HD inline bool shift_is_exact(float value, float shift) {
  return widen(narrow(value - shift, T{})) == value - shift;
}

// A warp to a unit.
static_assert(kRowUnits == kWarps);

// What is left of the columns' means, for each unit of a stage: minus the sum of their rests.
struct StageRests {
  float of_unit[kRowUnits];
};

// The same for all columns at once, where no block holds all rows. Block `index`: 32 columns;
// 8 threads share a column's rows.
template <typename T> struct ColumnShift {
  static constexpr int kColumns = 32, kParts = kThreads / kColumns;
  static constexpr int kBlocks = 4;  // on a multiprocessor: 64 registers a thread, none spilled
  struct Shared {
    float sums[kParts][kColumns];
    float mean[kColumns], shift[kColumns];
    bool exact[kParts][kColumns];
  };

  Matrix<T> x;
  float* shift;  // (p,)
  float* mean;   // (p,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    block.each_thread([&](int thread) {
      const int part = thread / kColumns, own = thread % kColumns;
      const int64_t column = index * kColumns + own;
      if (column >= x.columns) return;
      const float pivot = kIsHalf<T> ? 0.0f : widen(x.data[column]);
      float sum = 0;
      for (int64_t i = part; i < x.rows; i += kParts) {
        sum += widen(x.data[i * x.stride + column]) - pivot;
      }
      shared.sums[part][own] = sum;
    });
    block.each_thread([&](int thread) {
      const int64_t column = index * kColumns + thread;
      if (thread >= kColumns || column >= x.columns) return;
      const float pivot = kIsHalf<T> ? 0.0f : widen(x.data[column]);
      float sum = 0;
      for (int part = 0; part < kParts; ++part) sum += shared.sums[part][thread];
      shared.mean[thread] = pivot + sum / static_cast<float>(x.rows);
      shared.shift[thread] = widen(narrow(shared.mean[thread], T{}));
    });
    block.each_thread([&](int thread) {
      const int part = thread / kColumns, own = thread % kColumns;
      const int64_t column = index * kColumns + own;
      bool exact = true;
      if (kIsHalf<T> && column < x.columns) {
        for (int64_t i = part; exact && i < x.rows; i += kParts) {
          exact = shift_is_exact<T>(widen(x.data[i * x.stride + column]), shared.shift[own]);
        }
      }
      shared.exact[part][own] = exact;
    });
    block.each_thread([&](int thread) {
      const int64_t column = index * kColumns + thread;
      if (thread >= kColumns || column >= x.columns) return;
      float own = shared.shift[thread];
      for (int part = 0; part < kParts; ++part) {
        if (!shared.exact[part][thread]) own = 0.0f;
      }
      shift[column] = own;
      mean[column] = shared.mean[thread];
    });
  }
};

}  // namespace vitprobe::kernels
