// What happens to a stage between its arrival in shared memory and its multiplication: the shift
// of each column is subtracted (shift.h). Warp u owns unit u, 16 bytes of every row. A block that
// holds all rows of x finds the shift itself, so x is read once; else (n > 256) the shift is given.
//
//   prepare_halves.h   bf16, f16
//   prepare_floats.h   f32
//
// Every access is free of bank conflicts: eight lanes at a time touch one unit of eight rows.
#pragma once

#include <type_traits>

#include "cuda/gram/prepare_floats.h"
#include "cuda/gram/prepare_halves.h"

namespace vitprobe::kernels {

template <class Math, int rows>
using Prepare =
    std::conditional_t<sizeof(typename Math::T) == 2, PrepareHalves<typename Math::T, rows>,
                       PrepareFloats<Math, rows>>;

}  // namespace vitprobe::kernels
