// A B^T over all slabs by as many threads as torch has: the tasks of plan.h, then the sums of their
// splits in order.
#pragma once

#include <memory>

#include "cpu/product/plan.h"
#include "ops.h"

namespace vitprobe {

inline Element element_of(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return Element::f32;
    case ScalarType::Double: return Element::f64;
    case ScalarType::BFloat16: return Element::bf16;
    case ScalarType::Half: return Element::f16;
    default: STD_TORCH_CHECK(false, "float32, float64, bfloat16 or float16 expected");
  }
}

inline constexpr int64_t kAdded = int64_t{1} << 17;  // doubles added that pay for a thread

// sink(i, j, columns, values): called once for each stretch of elements (i, j..j + columns).
template <class Sink> void multiply(const Product& product, const Sink& sink) {
  const PanelProduct& kernel = panel_product();
  const PanelPlan plan = plan_panels(product, kernel.panel[product.a.type == Element::f64]);
  const std::unique_ptr<double[]> sums(new double[plan.splits * plan.split()]);
  torch::stable::parallel_for(0, plan.tasks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const Range tiles = plan.tiles_of(task);
      double* split = sums.get() + plan.split_of(task) * plan.split();
      double* mine = split + tiles.begin * plan.tile();
      std::fill(mine, split + tiles.end * plan.tile(), 0.0);
      kernel.add(product, plan.slabs_of(task), tiles, mine);
    }
  });

  const int64_t W = plan.panel, rows = product.a.rows;
  const int64_t grain = rows * kAdded / (plan.splits * plan.split()) + 1;
  torch::stable::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t stop = product.symmetric ? i + 1 : product.b.rows;
      for (int64_t j = 0; j < stop; j += W) {
        const int64_t tile =
            product.symmetric ? packed_index(i / W, j / W, true) : i / W * plan.b_panels + j / W;
        double* sum = sums.get() + (tile * W + i % W) * W;
        const int64_t columns = std::min(W, stop - j);
        for (int64_t s = 1; s < plan.splits; ++s) {
          const double* other = sum + s * plan.split();
          for (int64_t c = 0; c < columns; ++c) sum[c] += other[c];
        }
        sink(i, j, columns, sum);
      }
    }
  });
}

}  // namespace vitprobe
