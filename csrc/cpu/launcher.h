// What the CPU launchers share: rows as the product takes them.
#pragma once

#include "cpu/product/parallel.h"
#include "ops.h"

namespace vitprobe {

inline RowSet row_set(const Rows& x) { return {x.data, x.n, x.p, x.stride, element_of(x.type)}; }

}  // namespace vitprobe
