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

#if VP_X86_TARGETS
namespace avx2 {
extern const PanelProduct kProduct;
}
namespace avx512 {
extern const PanelProduct kProduct;
}
namespace avx512_bf16 {
extern const PanelProduct kProduct;
}
namespace amx_bf16 {
extern const PanelProduct kProduct;
}

static const PanelProduct& choose() {
  if (has_amx_bf16()) return amx_bf16::kProduct;
  if (has_avx512_bf16()) return avx512_bf16::kProduct;
  if (has_avx512()) return avx512::kProduct;
  return has_avx2() ? avx2::kProduct : base::kProduct;
}
#else
static const PanelProduct& choose() { return base::kProduct; }
#endif

const PanelProduct& panel_product() {
  static const PanelProduct& best = choose();
  return best;
}

}  // namespace vitprobe
