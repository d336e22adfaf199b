// Two halves in one register, the first in the low bits (as they lie in memory), and what one
// instruction does with both: each half is computed exactly, then rounded to nearest, ties to even.
//
// On the GPU: cvt.rn.{bf16x2,f16x2}.f32, fma.rn.{bf16x2,f16x2} with a factor of 1 or -1, which is
// an addition or subtraction on every GPU (sm_80 has no add.bf16x2). On the host a float sum is
// rounded twice, which is once: 24 bits are at least 2 x 11 + 2.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/host_device.h"
#include "common/narrow.h"
#include "common/widen.h"

namespace vitprobe::kernels {

template <typename T> constexpr bool kIsHalf = sizeof(T) == 2;
template <typename T> constexpr uint32_t kOnes = 0;  // (1, 1)
template <> inline constexpr uint32_t kOnes<BF16> = 0x3f803f80u;
template <> inline constexpr uint32_t kOnes<F16> = 0x3c003c00u;
constexpr uint32_t kSigns = 0x80008000u;

template <typename T> VP_HD inline T first_of(uint32_t pair) {
  return {static_cast<uint16_t>(pair & 0xffffu)};
}
template <typename T> VP_HD inline T second_of(uint32_t pair) {
  return {static_cast<uint16_t>(pair >> 16)};
}

template <typename T> VP_HD inline uint32_t pair_of(float first, float second) {
#if defined(__CUDA_ARCH__)
  uint32_t pair;
  if constexpr (std::is_same_v<T, BF16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  }
  return pair;
#else
  return narrow(first, T{}).bits | uint32_t{narrow(second, T{}).bits} << 16;
#endif
}

// factor is kOnes<T> or kOnes<T> | kSigns: a * factor + b.
template <typename T> VP_HD inline uint32_t multiply_add(uint32_t a, uint32_t factor, uint32_t b) {
#if defined(__CUDA_ARCH__)
  uint32_t sum;
  if constexpr (std::is_same_v<T, BF16>) {
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(factor), "r"(b));
  } else {
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(factor), "r"(b));
  }
  return sum;
#else
  return pair_of<T>(widen(first_of<T>(a)) * widen(first_of<T>(factor)) + widen(first_of<T>(b)),
                    widen(second_of<T>(a)) * widen(second_of<T>(factor)) + widen(second_of<T>(b)));
#endif
}
template <typename T> VP_HD inline uint32_t add_pairs(uint32_t a, uint32_t b) {
  return multiply_add<T>(a, kOnes<T>, b);
}
template <typename T> VP_HD inline uint32_t subtract_pairs(uint32_t a, uint32_t b) {
  return multiply_add<T>(b, kOnes<T> | kSigns, a);
}

}  // namespace vitprobe::kernels
