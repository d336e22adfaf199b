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
#include "common/split.h"
#include "common/widen.h"
#include "cuda/device/half_pairs.h"
#include "cuda/device/warps.h"
#include "cuda/gram/column_mean.h"

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

// The same for all columns at once, where no block holds all rows; of floats the shift is their
// ColumnMean.
template <typename T> struct ColumnShift {
  using Columns = BlockColumns<T>;
  static constexpr int kColumns = Columns::kColumns, kParts = Columns::kParts;
  static constexpr int kBlocks = 4;  // on a multiprocessor: 64 registers a thread, none spilled
  static_assert(kIsHalf<T>);
  struct Shared {
    typename Columns::Sums sums;
    float mean[kColumns], shift[kColumns];
    bool exact[kParts][kColumns];
  };

  Matrix<T> x;
  float* shift;  // (p,)
  float* mean;   // (p,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Columns own{x, index};
    block.each_thread([&](int thread) { own.add(shared.sums, thread); });
    block.each_thread([&](int thread) {
      if (thread >= kColumns || !own.has(thread)) return;
      shared.mean[thread] = own.mean(shared.sums, thread);
      shared.shift[thread] = widen(narrow(shared.mean[thread], T{}));
    });
    block.each_thread([&](int thread) {
      const int part = thread / kColumns, place = thread % kColumns;
      bool exact = true;
      if (own.has(thread)) {
        for (int64_t i = part; exact && i < x.rows; i += kParts) {
          exact = shift_is_exact<T>(own.at(i, thread), shared.shift[place]);
        }
      }
      shared.exact[part][place] = exact;
    });
    block.each_thread([&](int thread) {
      if (thread >= kColumns || !own.has(thread)) return;
      float kept = shared.shift[thread];
      for (int part = 0; part < kParts; ++part) {
        if (!shared.exact[part][thread]) kept = 0.0f;
      }
      shift[own.column(thread)] = kept;
      mean[own.column(thread)] = shared.mean[thread];
    });
  }
};

// shift, mean (p,); mean is left as it is for floats, which need none.
template <typename T, class Grid>
void column_shifts(Grid& grid, const Matrix<T>& x, float* shift, float* mean) {
  const int64_t blocks = ceil_div(x.columns, BlockColumns<T>::kColumns);
  if constexpr (kIsHalf<T>) {
    grid.launch(blocks, ColumnShift<T>{x, shift, mean});
  } else {
    grid.launch(blocks, ColumnMean<T>{x, shift});
  }
}

}  // namespace vitprobe::kernels
