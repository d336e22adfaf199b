// The product of two sets of rows, A B^T, on the CPU: the one kernel behind the Gram matrix and
// hsic_accumulate_. Compiled once for each instruction set (cpu/product/*.cpp); the best that the
// processor has is chosen at run time.
//
//   A slab of kSlab columns is packed into panels of `panel` rows, column after column, and the
//   micro-kernel forms outer products of panels in registers: fp32 within a slab, then added to
//   fp64 tiles, one for each pair of panels. How slabs and tiles are shared among workers is
//   plan.h's business.
#pragma once

#include <cstdint>

#include "common/element.h"
#include "common/split.h"
#include "common/tiles.h"
#include "cpu/vector/instruction_set.h"

namespace vitprobe {

// Row i is the `length` numbers at data + i * stride elements.
struct RowSet {
  const void* data;
  int64_t rows, length, stride;
  Element type;
};

// A B^T. symmetric: b is a, and the tiles above the diagonal are left out. shift: what all rows
// have in common is subtracted from each column first; what, is the kernel's choice (the mean, or
// near it), so that the result has its meaning once it is centred.
struct Product {
  RowSet a, b;
  bool symmetric, shift;
};

inline constexpr int64_t kSlab = 256;
inline constexpr int64_t kMostRows = 16;  // of a tile that a micro-kernel adds to at a time

struct PanelProduct {
  int64_t panel[2];  // rows of a panel: [0] of float, [1] of double

  // sums += these slabs of these tiles. A tile is panel x panel doubles, row by row, those above
  // the diagonal undefined where symmetric; sums begins with the first tile of `tiles`. Rows that
  // hold none of the product's, from the next multiple of kMostRows on, are not touched.
  void (*add)(const Product& product, Range slabs, Range tiles, double* sums);
};

VP_VERSIONS(extern const PanelProduct kProduct);
namespace avx512_bf16 {
extern const PanelProduct kProduct;
}
namespace amx_bf16 {
extern const PanelProduct kProduct;
}

// The best that this processor runs.
const PanelProduct& panel_product();

}  // namespace vitprobe
