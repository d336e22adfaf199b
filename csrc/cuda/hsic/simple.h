// All pairs of two models' layers at once: acc += a b^T.
//
//   a: (La, m), b: (Lb, m)   float or double: one centred, packed vector (cuda/gram/center.h) per
//                            layer
//   acc: (La, Lb)            double, any strides, added to in place
//
// Where a and b are the same matrix, only tiles on or below the diagonal are computed and each
// element is added twice, to (i, j) and to (j, i). fp32 within runs of 512, fp64 between them.
// Two bodies in order: Product (cuda/product.h), AddTiles. Memory floor: one read of a and b.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/thread_block.h"
#include "cuda/product.h"

namespace vitprobe::kernels {

struct Accumulator {
  double* data;
  int64_t rows, columns;
  int64_t row_stride, column_stride;

  // Whether an element of a tile is one of acc, and, of a symmetric product, not above the
  // diagonal.
  VP_DEVICE bool takes(int64_t row, int64_t column, bool lower) const {
    return row < rows && column < columns && (!lower || column <= row);
  }
  VP_DEVICE void add(int64_t row, int64_t column, double value, bool lower) const {
    data[row * row_stride + column * column_stride] += value;
    if (lower && column < row) data[column * row_stride + row * column_stride] += value;
  }
};

// The second body of run_product: tiles -> acc.
struct AddTiles {
  struct Shared {};

  ProductPlan plan;
  const double* partials;
  Accumulator acc;
  int64_t first_tile;

  template <class Block> VP_DEVICE void operator()(Block block, Shared&, int64_t index) const {
    block.each_thread([&](int thread) {
      const Gathered s = gather(plan, partials, first_tile, index * kThreads + thread);
      if (acc.takes(s.row, s.column, plan.lower)) acc.add(s.row, s.column, s.value, plan.lower);
    });
  }
};

// plan: plan_product(La, Lb, m, whether a and b are one). Workspace: partials (plan.partials(),).
template <class Grid, typename T>
void hsic_accumulate(Grid& grid, const Matrix<T>& a, const Matrix<T>& b, const ProductPlan& plan,
                     double* partials, const Accumulator& acc) {
  run_product(grid, Product<T>{a, b, nullptr, plan, 0, partials}, AddTiles{plan, partials, acc, 0});
}

}  // namespace vitprobe::kernels
