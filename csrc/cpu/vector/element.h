// The types of the numbers that a CPU kernel reads.
#pragma once

namespace vitprobe {

enum class Element { f32, f64, bf16, f16 };

}  // namespace vitprobe
