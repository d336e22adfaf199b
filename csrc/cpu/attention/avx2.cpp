// rows.h for x86-64 processors with AVX2: 16 registers of 32 bytes.
#include <new>
#include <utility>

#include "cpu/attention/rows.h"

#if VP_X86_TARGETS
VP_BEGIN_TARGET(VP_AVX2)
#define VP_ISA avx2
#define VP_VECTOR 32
#define VP_ROWS 4
#define VP_VECTORS 3
#include "cpu/attention/row_kernels.h"
VP_END_TARGET
#endif
