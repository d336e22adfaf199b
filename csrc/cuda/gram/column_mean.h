// The means of x's columns, taken relative to row 0: a constant column's is its value, exactly.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/widen.h"
#include "cuda/device/thread_block.h"
#include "cuda/matrix.h"

namespace vitprobe::kernels {

// The 32 columns of block `index`; 8 threads share a column's rows.
template <typename T> struct BlockColumns {
  using Run = Widened<T>;
  static constexpr int kColumns = 32, kParts = kThreads / kColumns;
  struct Sums {
    Run of[kParts][kColumns];
  };

  const Matrix<T>& x;
  int64_t index;

  VP_DEVICE int64_t column(int thread) const { return index * kColumns + thread % kColumns; }
  VP_DEVICE bool has(int thread) const { return column(thread) < x.columns; }
  VP_DEVICE Run at(int64_t row, int thread) const {
    return widen(x.data[row * x.stride + column(thread)]);
  }

  VP_DEVICE void add(Sums& sums, int thread) const {
    if (!has(thread)) return;
    const Run pivot = at(0, thread);
    Run sum = 0;
    for (int64_t i = thread / kColumns; i < x.rows; i += kParts) sum += at(i, thread) - pivot;
    sums.of[thread / kColumns][thread % kColumns] = sum;
  }
  // When all have added.
  VP_DEVICE Run mean(const Sums& sums, int thread) const {
    Run sum = 0;
    for (int part = 0; part < kParts; ++part) sum += sums.of[part][thread % kColumns];
    return at(0, thread) + sum / static_cast<Run>(x.rows);
  }
};

template <typename T> struct ColumnMean {
  using Columns = BlockColumns<T>;
  using Shared = typename Columns::Sums;
  static constexpr int kColumns = Columns::kColumns;

  Matrix<T> x;
  Widened<T>* mean;  // (p,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const Columns own{x, index};
    block.each_thread([&](int thread) { own.add(shared, thread); });
    block.each_thread([&](int thread) {
      if (thread < kColumns && own.has(thread)) mean[own.column(thread)] = own.mean(shared, thread);
    });
  }
};

}  // namespace vitprobe::kernels
