// panels.h for x86-64 processors with AVX512-BF16: the dot instruction for Gram matrices of bf16.
#include <new>
#include <utility>

#include "cpu/product/panels.h"

#if VP_X86_TARGETS
#include <immintrin.h>

VP_BEGIN_TARGET("avx512bf16," VP_AVX512)
#define VP_ISA avx512_bf16
#define VP_VECTOR 64
#define VP_ROWS 8
#define VP_VECTORS 3
#include "cpu/product/dot_kernels.h"
VP_END_TARGET
#endif
