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
  const int64_t W = plan.panel;
  const std::unique_ptr<double[]> sums(new double[plan.splits * plan.split()]);

  // use(i, j, columns, at): the elements (i, j..j + columns) that a tile holds, from its number
  // `at` on.
  const auto each_row = [&](int64_t tile, const auto& use) {
    const Coordinate panels = tile_at(tile, plan.b_panels, product.symmetric);
    const Range rows = run_range(product.a.rows, W, panels.row);
    const Range columns = run_range(product.b.rows, W, panels.col);
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const int64_t end = product.symmetric ? std::min(columns.end, i + 1) : columns.end;
      use(i, columns.begin, end - columns.begin, (i - rows.begin) * W);
    }
  };
  const auto add_split = [&](int64_t tile, int64_t split) {  // to the first one's sums
    double* sum = sums.get() + tile * plan.tile();
    const double* other = sum + split * plan.split();
    each_row(tile, [&](int64_t, int64_t, int64_t columns, int64_t at) {
      for (int64_t c = at; c < at + columns; ++c) sum[c] += other[c];
    });
  };

  int64_t added = 1;  // splits that the first one's sums hold
  torch::stable::parallel_for(0, plan.tasks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      // Who has the first split adds its next ones at once, through sums that stay in the cache.
      const bool next = plan.groups == 1 && begin == 0 && task > 0;
      const Range tiles = plan.tiles_of(task);
      double* split = sums.get() + (next ? 1 : plan.split_of(task)) * plan.split();
      for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
        const int64_t panel = tile_at(tile, plan.b_panels, product.symmetric).row;
        const int64_t rows =
            std::min(W, tile_rows(product.a.rows - panel * W, kMostRows) * kMostRows);
        std::fill_n(split + tile * plan.tile(), rows * W, 0.0);
      }
      kernel.add(product, plan.slabs_of(task), tiles, split + tiles.begin * plan.tile());
      if (!next) continue;
      for (int64_t tile = 0; tile < plan.tiles; ++tile) add_split(tile, 1);
      added = task + 1;
    }
  });

  const int64_t grain = kAdded / (plan.splits * plan.tile()) + 1;
  torch::stable::parallel_for(0, plan.tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      for (int64_t split = added; split < plan.splits; ++split) add_split(tile, split);
      const double* sum = sums.get() + tile * plan.tile();
      each_row(tile, [&](int64_t i, int64_t j, int64_t columns, int64_t at) {
        sink(i, j, columns, sum + at);
      });
    }
  });
}

}  // namespace vitprobe
