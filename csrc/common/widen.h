// The element types of the inputs, and the type in which their products are summed.
//
//   float, BF16, F16   widened to float without error
//   double             stays double
//
// BF16 and F16 hold the bits. narrow.h is the way back.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/host_device.h"

namespace vitprobe {

struct BF16 {
  uint16_t bits;
};

struct F16 {
  uint16_t bits;
};

VP_HD inline float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

VP_HD inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

VP_HD inline float widen(float value) { return value; }
VP_HD inline double widen(double value) { return value; }

// bfloat16 is the upper half of a float.
VP_HD inline float widen(BF16 value) { return float_of_bits(uint32_t{value.bits} << 16); }

// On the host: exponent and fraction of a half, moved to their places in a float, are too small by
// 2^112 (biases 127 and 15): the multiplication is exact, for subnormals too. Inf and NaN by hand.
VP_HD inline float widen(F16 value) {
#if defined(__CUDA_ARCH__)
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
#else
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t rest = (value.bits & 0x7fffu) << 13;
  const bool finite = (value.bits & 0x7c00u) != 0x7c00u;
  const float magnitude =
      finite ? float_of_bits(rest) * 5192296858534827628530496329220096.0f  // 2^112
             : float_of_bits(rest | 0x7f800000u);
  return sign != 0 ? -magnitude : magnitude;
#endif
}

template <typename T> using Widened = decltype(widen(T{}));

}  // namespace vitprobe
