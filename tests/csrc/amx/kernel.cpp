// The kernel of cpu/product/amx_bf16.cpp with the instructions in software.
#include "model.h"

#include <new>
#include <type_traits>
#include <utility>

#include "cpu/product/panels.h"

#if VP_X86_TARGETS
#include <immintrin.h>

namespace vitprobe::amx_modelled {
extern const PanelProduct kProduct;
}

VP_BEGIN_TARGET("avx512bf16," VP_AVX512)
#define VP_TILES amx::Model
#define VP_ISA amx_modelled
#define VP_VECTOR 64
#define VP_ROWS 16
#define VP_VECTORS 3
#include "cpu/product/tile_kernels.h"
VP_END_TARGET
#endif
