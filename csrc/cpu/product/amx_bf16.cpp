// panels.h for x86-64 processors with AMX: their matrix unit for Gram matrices of bf16.
#include <new>
#include <type_traits>
#include <utility>

#include "cpu/product/panels.h"

#if VP_X86_TARGETS
#include <immintrin.h>

namespace vitprobe {

// The instructions themselves: compilers' own names for them want the tiles' numbers in digits, and
// older compilers have none.
struct Tiles {
  template <class Config> static void configure(const Config& config) {
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  static void release() { asm volatile("tilerelease"); }
  template <int T> static void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int C, int A, int B> static void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
  template <int T> static void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
  }
};

}  // namespace vitprobe

VP_BEGIN_TARGET("avx512bf16," VP_AVX512)
#define VP_TILES Tiles
#define VP_ISA amx_bf16
#define VP_VECTOR 64
#define VP_ROWS 16
#define VP_VECTORS 3
#include "cpu/product/tile_kernels.h"
VP_END_TARGET
#endif
