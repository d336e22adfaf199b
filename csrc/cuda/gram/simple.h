// The Gram matrix of one layer's activations, packed.
//
//   x: (n, p)   float, double, BF16 or F16; row-major, any row stride, any alignment
//   out:        lower triangle with diagonal, n(n+1)/2 floats or doubles (common/packed.h):
//               out[i(i+1)/2 + j] = sum_c (x_ic - mean_c)(x_jc - mean_c),  j <= i
//
// CKA does not change when one vector is subtracted from every row; subtracting the column mean
// removes the cancellation that large means cause in fp32 sums, and a constant column gives exact
// zeros (column_mean.h).
//
// Three bodies in order: ColumnMean, Product (cuda/product.h), PackLower. Memory floor: one read of
// x; here x is read once for the mean and once for every tile of its row.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "common/widen.h"
#include "cuda/device/thread_block.h"
#include "cuda/gram/column_mean.h"
#include "cuda/product.h"

namespace vitprobe::kernels {

// The second body of run_product: tiles -> packed lower triangle.
template <typename Out> struct PackLower {
  struct Shared {};

  ProductPlan plan;
  const double* partials;
  int64_t n;
  Out* out;
  int64_t first_tile;

  template <class Block> VP_DEVICE void operator()(Block block, Shared&, int64_t index) const {
    block.each_thread([&](int thread) {
      const Gathered k = gather(plan, partials, first_tile, index * kThreads + thread);
      if (k.row < n && k.column <= k.row) {
        out[packed_index(k.row, k.column, true)] = static_cast<Out>(k.value);
      }
    });
  }
};

// plan: plan_product(n, n, p, true). Workspace: mean (p,), partials (plan.partials(),).
template <class Grid, typename T, typename Out>
void gram(Grid& grid, const Matrix<T>& x, const ProductPlan& plan, Widened<T>* mean,
          double* partials, Out* out) {
  grid.launch(ceil_div(x.columns, ColumnMean<T>::kColumns), ColumnMean<T>{x, mean});
  run_product(grid, Product<T>{x, x, mean, plan, 0, partials},
              PackLower<Out>{plan, partials, x.rows, out, 0});
}

}  // namespace vitprobe::kernels
