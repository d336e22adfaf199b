// One warp's matrix product, mma.sync: which lane holds which element, and what is computed.
//
//   D (16 x 8, fp32) = C + A (16 x k) B (k x 8)      k = 16 for bf16 and f16, 8 for TF32
//
// A and B^T are pieces of rows, 32 bytes of each: 16 halves or 8 floats. Counted in bytes, both
// kinds lie the same way in the lanes' 32-bit registers, so one set of maps serves all types:
//
//   A   register r of lane l   row l/4 + 8 (r%2)   bytes 4 (l%4) + 16 (r/2) ..+3
//   B   register r of lane l   row l/4             bytes 4 (l%4) + 16 r     ..+3
//   C   register r of lane l   row l/4 + 8 (r/2)   column 2 (l%4) + r%2
//
// ldmatrix fills four registers of every lane from four 8 x 16-byte matrices in shared memory;
// lane l gives the address of row l%8 of matrix l/8. Shared memory holds rows of 128 bytes, eight
// units of 16; unit u of row i lies at place u ^ (i%8), so that the same unit of eight rows
// is in eight different groups of banks.
//
// On the GPU these are the PTX instructions; on the host, what the PTX manual says they do.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/widen.h"

namespace vitprobe::kernels {

constexpr int kLanes = 32;
constexpr int kUnit = 16;                     // bytes: one row of one matrix of ldmatrix
constexpr int kStepBytes = 2 * kUnit;         // of a row: what one mma contracts
constexpr int kRowBytes = 128;                // of a row, in shared memory
constexpr int kRowUnits = kRowBytes / kUnit;  // 8
constexpr int kRowSteps = kRowBytes / kStepBytes;

struct Cell {
  int row, at;  // at: a byte of a row (A, B), a column (C), a unit of a row (ldmatrix)
};

VP_HD inline Cell a_cell(int lane, int r) {
  return {lane / 4 + 8 * (r % 2), 4 * (lane % 4) + 16 * (r / 2)};
}
VP_HD inline Cell b_cell(int lane, int r) { return {lane / 4, 4 * (lane % 4) + 16 * r}; }
VP_HD inline Cell c_cell(int lane, int r) {
  return {lane / 4 + 8 * (r / 2), 2 * (lane % 4) + r % 2};
}

// Whose address a lane gives: for the A of 16 rows, and for two Bs of 8 rows each (registers 0, 1
// are the first one's, 2, 3 the second one's).
VP_HD inline Cell a_source(int lane) { return {lane % 16, lane / 16}; }
VP_HD inline Cell b_source(int lane) { return {lane % 8 + 8 * (lane / 16), lane / 8 % 2}; }

// Byte of a unit in shared memory.
VP_HD inline int swizzled(int row, int unit) {
  return row * kRowBytes + (unit ^ (row % 8)) * kUnit;
}

VP_HD inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// A float rounded to TF32 (10 bits of fraction, ties away from zero), in a float's bits.
VP_HD inline uint32_t round_tf32(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(float_of_bits(bits)));
  return rounded & 0xffffe000u;
#else
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  if (finite) return (bits + 0x1000u) & 0xffffe000u;
  return (bits & 0x7fffffu) != 0 ? bits | 0x400000u : bits;
#endif
}

// How rows of T are multiplied. A number goes in as kParts numbers; kTerms products of parts are
// summed, small ones first; a chain of kChain steps is one sum on the matrix unit
// (cuda/gram/fast.h). f16 has longer products than bf16, of which more is truncated: its chains are
// shorter.
struct HalfMath {
  static constexpr int kParts = 1, kTerms = 1;
  VP_HD static constexpr int left(int) { return 0; }
  VP_HD static constexpr int right(int) { return 0; }
  VP_HD static void into_parts(uint32_t (&)[kParts][4]) {}
};
struct MathBF16 : HalfMath {
  using T = BF16;
  static constexpr int kChain = 2;
};
struct MathF16 : HalfMath {
  using T = F16;
  static constexpr int kChain = 1;
};

struct MathTF32 {
  using T = float;
  static constexpr int kParts = 1, kTerms = 1, kChain = 2;
  VP_HD static constexpr int left(int) { return 0; }
  VP_HD static constexpr int right(int) { return 0; }
  VP_HD static void into_parts(uint32_t (&part)[kParts][4]) {
    VP_UNROLL
    for (int r = 0; r < 4; ++r) part[0][r] = round_tf32(part[0][r]);
  }
};

// x = high + low to 2^-22, high and low TF32: (low, high) + (high, low) + (high, high).
struct Math3xTF32 {
  using T = float;
  static constexpr int kParts = 2, kTerms = 3, kChain = 1;
  VP_HD static constexpr int left(int term) { return term == 0 ? 1 : 0; }
  VP_HD static constexpr int right(int term) { return term == 1 ? 1 : 0; }
  VP_HD static void into_parts(uint32_t (&part)[kParts][4]) {
    VP_UNROLL
    for (int r = 0; r < 4; ++r) {
      const uint32_t whole = part[0][r], high = round_tf32(whole);
      part[0][r] = high;
      part[1][r] = round_tf32(bits_of_float(float_of_bits(whole) - float_of_bits(high)));
    }
  }
};

#if defined(__CUDACC__)

#define VP_MMA(SHAPE_AND_TYPES)                                                                    \
  asm("mma.sync.aligned." SHAPE_AND_TYPES " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                             \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

template <typename T> __device__ inline void mma(float* d, const uint32_t* a, const uint32_t* b);

template <> __device__ inline void mma<BF16>(float* d, const uint32_t* a, const uint32_t* b) {
  VP_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}
template <> __device__ inline void mma<F16>(float* d, const uint32_t* a, const uint32_t* b) {
  VP_MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
template <> __device__ inline void mma<float>(float* d, const uint32_t* a, const uint32_t* b) {
  VP_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
#undef VP_MMA

__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

__device__ inline void ldmatrix(uint32_t* out, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

#endif

}  // namespace vitprobe::kernels
