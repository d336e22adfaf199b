// What is subtracted from a column of x before it is multiplied, and what then remains of its mean.
//
// CKA does not change when one vector is subtracted from every row; subtracting the column mean
// removes the cancellation that large means cause in fp32 sums.
//
//   f32        the mean itself, relative to row 0: a constant column gives exact zeros
//   bf16, f16  x - mean is not such a number, so the shift is the mean rounded to the type, where
//              |mean| > 4 std and x - shift is exact in every row. Elsewhere 0. (Where it is exact
//              in most rows only, the other rows' errors are hundreds of times those of the sums.)
//
// `rest` is the square of the mean that remains. The sum of it over the columns is one number that
// all elements of the Gram matrix have in common, so centring drops it: fast.h starts its sums at
// minus that number and they stay small.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/widen.h"
#include "cuda/gram/simple.h"

namespace vitprobe::kernels {

// A float rounded to T, ties to even.
VP_DEVICE inline BF16 narrow(float value, BF16) {
#if defined(__CUDA_ARCH__)
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
#endif
}

VP_DEVICE inline F16 narrow(float value, F16) {
#if defined(__CUDA_ARCH__)
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return {0x7fff};
  if (bits >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and more
  if (bits < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, by adding 1/2 (its last bit)
    float magnitude;
    memcpy(&magnitude, &bits, sizeof(magnitude));
    const float sum = magnitude + 0.5f;
    memcpy(&bits, &sum, sizeof(bits));
    return {static_cast<uint16_t>(sign | (bits - 0x3f000000u))};
  }
  bits += 0xfffu + (bits >> 13 & 1u);
  return {static_cast<uint16_t>(sign | ((bits >> 13) - (112u << 10)))};
#endif
}

VP_DEVICE inline float narrow(float value, float) { return value; }

template <typename T> constexpr bool kIsHalf = sizeof(T) == 2;

struct Shift {
  float shift, mean;

  VP_DEVICE float rest(bool half) const { return half ? (mean - shift) * (mean - shift) : 0.0f; }
};

// From the sum (f32: relative to the pivot, the column's first number) and the sum of squares
// (bf16, f16) of a column of n numbers; for bf16 and f16 the shift is yet to be tried.
template <typename T>
VP_DEVICE inline Shift column_shift(float pivot, float sum, float squares, int64_t n) {
  const float count = static_cast<float>(n);
  if constexpr (!kIsHalf<T>) return {pivot + sum / count, 0.0f};
  const float mean = sum / count;
  const float variance = squares / count - mean * mean;
  return {mean * mean > 16.0f * variance ? widen(narrow(mean, T{})) : 0.0f, mean};
}

template <typename T> VP_DEVICE inline bool shift_is_exact(float value, float shift) {
  return widen(narrow(value - shift, T{})) == value - shift;
}

// The same for all columns at once, where no block holds all rows. Block `index`: 32 columns;
// 8 threads share a column's rows.
template <typename T> struct ColumnShift {
  static constexpr int kColumns = 32, kParts = kThreads / kColumns;
  static constexpr int kBlocks = 4;  // on a multiprocessor: 64 registers a thread, none spilled
  struct Shared {
    float sums[kParts][kColumns], squares[kParts][kColumns];
    Shift found[kColumns];
  };

  Matrix<T> x;
  float* shift;  // (p,)
  float* rest;   // (p,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    block.each_thread([&](int thread) {
      const int part = thread / kColumns, own = thread % kColumns;
      const int64_t column = index * kColumns + own;
      if (column >= x.columns) return;
      const float pivot = kIsHalf<T> ? 0.0f : widen(x.data[column]);
      float sum = 0, squares = 0;
      for (int64_t i = part; i < x.rows; i += kParts) {
        const float value = widen(x.data[i * x.stride + column]) - pivot;
        sum += value;
        squares += value * value;
      }
      shared.sums[part][own] = sum;
      shared.squares[part][own] = squares;
    });
    block.each_thread([&](int thread) {
      const int64_t column = index * kColumns + thread;
      if (thread >= kColumns || column >= x.columns) return;
      float sum = 0, squares = 0;
      for (int part = 0; part < kParts; ++part) {
        sum += shared.sums[part][thread];
        squares += shared.squares[part][thread];
      }
      shared.found[thread] = column_shift<T>(widen(x.data[column]), sum, squares, x.rows);
    });
    block.each_thread([&](int thread) {
      const int part = thread / kColumns, own = thread % kColumns;
      const int64_t column = index * kColumns + own;
      bool exact = true;
      if (kIsHalf<T> && column < x.columns && shared.found[own].shift != 0.0f) {
        for (int64_t i = part; i < x.rows; i += kParts) {
          const float value = widen(x.data[i * x.stride + column]);
          exact = exact && shift_is_exact<T>(value, shared.found[own].shift);
        }
      }
      shared.sums[part][own] = exact ? 1.0f : 0.0f;
    });
    block.each_thread([&](int thread) {
      const int64_t column = index * kColumns + thread;
      if (thread >= kColumns || column >= x.columns) return;
      Shift own = shared.found[thread];
      for (int part = 0; part < kParts; ++part) {
        if (shared.sums[part][thread] == 0.0f) own.shift = 0.0f;
      }
      shift[column] = own.shift;
      rest[column] = own.rest(kIsHalf<T>);
    });
  }
};

}  // namespace vitprobe::kernels
