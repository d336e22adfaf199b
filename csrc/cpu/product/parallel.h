// A B^T over all slabs by as many threads as torch has: the tasks of plan.h, then the sums of their
// splits in order.
#pragma once

#include <memory>

#include "cpu/product/plan.h"
#include "ops.h"

namespace vitprobe {

inline constexpr int64_t kAdded = int64_t{1} << 17;  // doubles added that pay for a thread

// sink(i, j, columns, values): called once for each stretch of elements (i, j..j + columns).
template <class Sink> void multiply(const Product& product, const Sink& sink) {
  const PanelProduct& kernel = panel_product();
  const PanelPlan plan = plan_panels(product, kernel.panel[product.a.type == Element::f64],
                                     torch::stable::get_num_threads());
  const std::unique_ptr<double[]> sums(new double[plan.splits * plan.split()]);
  int64_t added = 1;  // splits that the first one's sums hold
  torch::stable::parallel_for(0, plan.tasks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      // Who has the first split adds its next ones at once, through sums that stay in the cache.
      const bool next = plan.groups == 1 && begin == 0 && task > 0;
      const Range tiles = plan.tiles_of(task);
      double* split = sums.get() + (next ? 1 : plan.split_of(task)) * plan.split();
      double* mine = split + tiles.begin * plan.tile();
      std::fill(mine, split + tiles.end * plan.tile(), 0.0);
      kernel.add(product, plan.slabs_of(task), tiles, mine);
      if (!next) continue;
      for (int64_t i = 0; i < plan.split(); ++i) sums[i] += split[i];
      added = task + 1;
    }
  });

  const int64_t W = plan.panel;
  const int64_t grain = kAdded / (plan.splits * plan.tile()) + 1;
  torch::stable::parallel_for(0, plan.tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const Coordinate at = tile_at(tile, plan.b_panels, product.symmetric);
      const Range rows = run_range(product.a.rows, W, at.row);
      const Range columns = run_range(product.b.rows, W, at.col);
      const auto needed = [&](int64_t i) {  // columns of row i that hold sums
        return (product.symmetric ? std::min(columns.end, i + 1) : columns.end) - columns.begin;
      };
      double* sum = sums.get() + tile * plan.tile();
      for (int64_t s = added; s < plan.splits; ++s) {
        const double* other = sum + s * plan.split();
        for (int64_t i = rows.begin; i < rows.end; ++i) {
          const int64_t first = (i - rows.begin) * W, last = first + needed(i);
          for (int64_t c = first; c < last; ++c) sum[c] += other[c];
        }
      }
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        sink(i, columns.begin, needed(i), sum + (i - rows.begin) * W);
      }
    }
  });
}

}  // namespace vitprobe
