// A float rounded to an element type, ties to even; NaN becomes the type's canonical NaN, 0x7fff.
// On the GPU one instruction, on the host the same bits by integer arithmetic.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/host_device.h"
#include "common/widen.h"

namespace vitprobe {

VP_HD inline float narrow(float value, float) { return value; }

VP_HD inline BF16 narrow(float value, BF16) {
#if defined(__CUDA_ARCH__)
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}

VP_HD inline F16 narrow(float value, F16) {
#if defined(__CUDA_ARCH__)
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  uint32_t bits = bits_of_float(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return {0x7fff};
  if (bits >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and more
  if (bits < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, by adding 1/2 (its last bit)
    const uint32_t sum = bits_of_float(float_of_bits(bits) + 0.5f);
    return {static_cast<uint16_t>(sign | (sum - 0x3f000000u))};
  }
  bits += 0xfffu + (bits >> 13 & 1u);
  return {static_cast<uint16_t>(sign | ((bits >> 13) - (112u << 10)))};
#endif
}

}  // namespace vitprobe
