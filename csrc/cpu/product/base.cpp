// panels.h for any processor, with 16-byte vectors (SSE2, NEON); and the choice among all.
#include <new>
#include <utility>

#include "cpu/product/panels.h"

#define VP_ISA base
#define VP_VECTOR 16
#define VP_ROWS 4
#if defined(__aarch64__)
#define VP_VECTORS 4
#else
#define VP_VECTORS 2
#endif
#include "cpu/product/panel_kernels.h"

namespace vitprobe {

const PanelProduct& panel_product() {
#if VP_X86_TARGETS
  if (has_amx_bf16()) return amx_bf16::kProduct;
  if (has_avx512_bf16()) return avx512_bf16::kProduct;
#endif
  return VP_BEST(kProduct);
}

}  // namespace vitprobe
