// The types of the numbers that a CPU kernel reads.
#pragma once

#include "common/widen.h"

namespace vitprobe {

enum class Element { f32, f64, bf16, f16 };

using kernels::BF16;
using kernels::F16;

}  // namespace vitprobe
