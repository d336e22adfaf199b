// The product of two sets of rows, A B^T, on the CPU: the one kernel behind the Gram matrix and
// hsic_accumulate_. Compiled once for each instruction set (cpu/product/*.cpp); the best that the
// processor has is chosen at run time.
//
//   A slab of kSlab columns is packed into panels of `panel` rows, column after column, and the
//   micro-kernel forms outer products of panels in registers: fp32 within a slab, then added to
//   fp64 tiles. Slabs are grouped into shares; a share is one worker's, and the caller adds the
//   shares in order, so the result depends on the sizes alone and not on the number of threads.
#pragma once

#include <cstdint>

#include "cpu/vector/element.h"
#include "cpu/vector/instruction_set.h"
#include "common/split.h"

namespace vitprobe {

// Row i is the `length` numbers at data + i * stride elements.
struct RowSet {
  const void* data;
  int64_t rows, length, stride;
  Element type;
};

inline constexpr int64_t kSlab = 256;

struct PanelProduct {
  const char* name;  // the instruction set
  int64_t panel[2];  // rows of a panel: [0] of float, [1] of double

  // tiles = sum over the slabs of A B^T. Tile (i, j) holds panel x panel doubles, row by row.
  // symmetric: b is a, tiles j <= i lie in the order of common/tiles.h and hold at least the
  // elements on
  //   and below the diagonal; otherwise tile (i, j) is number i * panels(b) + j.
  // shift: the mean of each column over the rows is subtracted first.
  void (*share)(const RowSet& a, const RowSet& b, bool symmetric, bool shift, Range slabs,
                double* tiles);
};

// The best that this processor runs.
const PanelProduct& panel_product();

}  // namespace vitprobe
