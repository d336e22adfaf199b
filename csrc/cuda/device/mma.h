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
// lane l gives the address of row l%8 of matrix l/8. Transposed, a lane of halves gets the column
// l/4 of rows 2 (l%4) and 2 (l%4) + 1 of each, instead of two columns of row l/4. Shared memory
// holds rows of 128 bytes, eight units of 16 (shared_rows.h).
//
// On the GPU these are the PTX instructions; on the host, what the PTX manual says they do.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/host_device.h"
#include "common/widen.h"

namespace vitprobe::kernels {

constexpr int kWarpSize = 32;
constexpr int kUnit = 16;                     // bytes: one row of one matrix of ldmatrix
constexpr int kStepBytes = 2 * kUnit;         // of a row: what one mma contracts
constexpr int kRowBytes = 128;                // of a row, in shared memory
constexpr int kRowUnits = kRowBytes / kUnit;  // 8
constexpr int kRowSteps = kRowBytes / kStepBytes;

// Where a register of a lane, or the unit that it reads, lies.
struct Place {
  int row, at;  // at: a byte of a row (A, B), a column (C), a unit of a row (ldmatrix)
};

VP_HD inline Place a_place(int lane, int r) {
  return {lane / 4 + 8 * (r % 2), 4 * (lane % 4) + 16 * (r / 2)};
}
VP_HD inline Place b_place(int lane, int r) { return {lane / 4, 4 * (lane % 4) + 16 * r}; }
VP_HD inline Place c_place(int lane, int r) {
  return {lane / 4 + 8 * (r / 2), 2 * (lane % 4) + r % 2};
}

// Whose address a lane gives: for the A of 16 rows, and for two Bs of 8 rows each (registers 0, 1
// are the first one's, 2, 3 the second one's).
VP_HD inline Place a_source(int lane) { return {lane % 16, lane / 16}; }
VP_HD inline Place b_source(int lane) { return {lane % 8 + 8 * (lane / 16), lane / 8 % 2}; }

// A lane's registers of an A, or of two Bs (the second one's are 2 and 3).
struct OperandFragment {
  uint32_t at[4];
};
// A lane's registers of a C or D.
struct AccumulatorFragment {
  float at[4];
};

// A C of equal numbers. A compiler that knows them to be equal keeps one, and makes four copies of
// it for every mma; it does not know what rounding does not change.
VP_HD inline AccumulatorFragment four_times(float value) {
#if defined(__CUDA_ARCH__)
  return {{value, __fadd_rz(value, 0.0f), __fadd_ru(value, 0.0f), __fadd_rn(value, 0.0f)}};
#else
  return {{value, value, value, value}};
#endif
}

// A float rounded to TF32, 10 bits of fraction, in the upper 19 of a float's bits; what a GPU
// leaves in the others is not part of the number. Ties to even; away from zero on sm_80, whose only
// rounding that is.
VP_HD inline uint32_t round_tf32(uint32_t bits) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t rounded;
  asm("cvt.rn.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(float_of_bits(bits)));
  return rounded;
#elif defined(__CUDA_ARCH__)
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(float_of_bits(bits)));
  return rounded;
#else
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  if (finite) return (bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u;
  return (bits & 0x7fffffu) != 0 ? bits | 0x400000u : bits;
#endif
}

// How rows of T are multiplied. A number goes in as kParts numbers; kTerms products of parts are
// summed, small ones first; a chain of kChain steps is one sum on the matrix unit
// (cuda/gram/split.h). f16 has longer products than bf16, of which more is truncated: its chains
// are shorter. `stored` is what shared memory keeps of a float that is multiplied.
struct OnePart {
  static constexpr int kParts = 1, kTerms = 1;
  VP_HD static constexpr int left(int) { return 0; }
  VP_HD static constexpr int right(int) { return 0; }
};
struct MathBF16 : OnePart {
  using T = BF16;
  static constexpr int kChain = 2;
};
struct MathF16 : OnePart {
  using T = F16;
  static constexpr int kChain = 1;
};
struct MathTF32 : OnePart {
  using T = float;
  static constexpr int kChain = 2;
  VP_HD static float stored(float value) { return float_of_bits(round_tf32(bits_of_float(value))); }
};

// x = high + low to 2^-22, high and low TF32: (low, high) + (high, low) + (high, high).
struct Math3xTF32 {
  using T = float;
  static constexpr int kParts = 2, kTerms = 3, kChain = 1;
  VP_HD static constexpr int left(int term) { return term == 0 ? 1 : 0; }
  VP_HD static constexpr int right(int term) { return term == 1 ? 1 : 0; }
  VP_HD static float stored(float value) { return value; }
  // high: what was read of x.
  VP_HD static void in_parts(OperandFragment& high, OperandFragment& low) {
    VP_UNROLL
    for (int r = 0; r < 4; ++r) {
      const float whole = float_of_bits(high.at[r]);
      high.at[r] = round_tf32(high.at[r]) & 0xffffe000u;
      low.at[r] = round_tf32(bits_of_float(whole - float_of_bits(high.at[r])));
    }
  }
};

#if defined(__CUDACC__)

#define VP_MMA(SHAPE_AND_TYPES)                                                                 \
  asm("mma.sync.aligned." SHAPE_AND_TYPES                                                       \
      " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"                              \
      : "=f"(d.at[0]), "=f"(d.at[1]), "=f"(d.at[2]), "=f"(d.at[3])                              \
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b0), "r"(b1), "f"(c.at[0]), \
        "f"(c.at[1]), "f"(c.at[2]), "f"(c.at[3]))

// D = C + A B, b0 and b1 the registers of B.
template <typename T>
__device__ inline void mma(AccumulatorFragment& d, const AccumulatorFragment& c,
                           const OperandFragment& a, uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, BF16>) {
    VP_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
  } else if constexpr (std::is_same_v<T, F16>) {
    VP_MMA("m16n8k16.row.col.f32.f16.f16.f32");
  } else {
    VP_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
  }
}
#undef VP_MMA

__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

#define VP_LDMATRIX(TRANSPOSED)                                                              \
  asm volatile("ldmatrix.sync.aligned.m8n8.x4" TRANSPOSED ".shared.b16 {%0,%1,%2,%3}, [%4];" \
               : "=r"(out.at[0]), "=r"(out.at[1]), "=r"(out.at[2]), "=r"(out.at[3])          \
               : "r"(shared_address(row))                                                    \
               : "memory")

__device__ inline void ldmatrix(OperandFragment& out, const void* row) { VP_LDMATRIX(""); }
__device__ inline void ldmatrix_transposed(OperandFragment& out, const void* row) {
  VP_LDMATRIX(".trans");
}
#undef VP_LDMATRIX

#endif

}  // namespace vitprobe::kernels
