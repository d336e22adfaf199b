// A B^T over all slabs by as many threads as torch has: shares of slabs in parallel, then their
// sum in order.
#pragma once

#include <memory>

#include "cpu/product/panels.h"
#include "common/tiles.h"
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

// How the work is cut, from the sizes alone.
struct Shares {
  bool symmetric;
  int64_t panel, a_panels, b_panels, size;  // size: doubles of one share's tiles
  int64_t slabs, count;

  Shares(const RowSet& a, const RowSet& b, bool symmetric)
      : symmetric(symmetric),
        panel(panel_product().panel[a.type == Element::f64]),
        a_panels(tile_rows(a.rows, panel)),
        b_panels(tile_rows(b.rows, panel)),
        size((symmetric ? packed_size(a_panels, true) : a_panels * b_panels) * panel * panel),
        slabs(ceil_div(a.length, kSlab)) {
    // A share's own cost is that of about one slab; below kLeast it would not pay for a thread.
    const int64_t useful = std::max(std::min<int64_t>(slabs / 4, 8), slabs / 16);
    const int64_t paid = a.rows * b.rows * a.length / kLeast;
    const int64_t fits = kWorkspace / size;
    count = std::max<int64_t>(1, std::min({useful, paid, fits, int64_t{64}}));
  }

  static constexpr int64_t kLeast = int64_t{1} << 22;      // products, some 40 microseconds
  static constexpr int64_t kWorkspace = int64_t{1} << 24;  // doubles: 128 MB
};

inline constexpr int64_t kReduced = int64_t{1} << 17;  // doubles summed that pay for a thread

// sink(i, j, columns, values): called once for each stretch of elements (i, j..j + columns).
template <class Sink>
void product(const RowSet& a, const RowSet& b, bool symmetric, bool shift, const Sink& sink) {
  const Shares shares(a, b, symmetric);
  const std::unique_ptr<double[]> tiles(new double[shares.count * shares.size]);
  torch::stable::parallel_for(0, shares.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      double* mine = tiles.get() + s * shares.size;
      std::fill(mine, mine + shares.size, 0.0);
      panel_product().add({a, b, symmetric, shift}, share_range(shares.slabs, shares.count, s),
                          {0, shares.size / (shares.panel * shares.panel)}, mine);
    }
  });

  const int64_t W = shares.panel;
  const int64_t grain = a.rows * kReduced / (shares.count * shares.size) + 1;
  torch::stable::parallel_for(0, a.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t stop = symmetric ? i + 1 : b.rows;
      for (int64_t j = 0; j < stop; j += W) {
        const int64_t tile =
            symmetric ? packed_index(i / W, j / W, true) : i / W * shares.b_panels + j / W;
        double* sum = tiles.get() + (tile * W + i % W) * W;
        const int64_t columns = std::min(W, stop - j);
        for (int64_t s = 1; s < shares.count; ++s) {
          const double* other = sum + s * shares.size;
          for (int64_t c = 0; c < columns; ++c) sum[c] += other[c];
        }
        sink(i, j, columns, sum);
      }
    }
  });
}

}  // namespace vitprobe
