// panels.h for x86-64 processors with AVX-512: 32 registers of 64 bytes.
#include <new>
#include <utility>

#include "cpu/product/panels.h"

#if VP_X86_TARGETS
VP_BEGIN_TARGET(VP_AVX512)
#define VP_ISA avx512
#define VP_VECTOR 64
#define VP_ROWS 8
#define VP_VECTORS 3
#include "cpu/product/panel_kernels.h"
VP_END_TARGET
#endif
