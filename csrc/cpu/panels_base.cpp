// panel_product.h for any processor, with 16-byte vectors (SSE2, NEON); and the choice among all.
#include <cstdlib>
#include <utility>

#include "kernels/panel_product.h"

#define VP_ISA base
#define VP_VECTOR 16
#define VP_ROWS 4
#if defined(__aarch64__)
#define VP_VECTORS 4
#else
#define VP_VECTORS 2
#endif
#include "kernels/panel_kernels.h"

namespace vitprobe {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
namespace v3 {
extern const PanelProduct kProduct;
}
namespace v4 {
extern const PanelProduct kProduct;
}

const PanelProduct& panel_product() {
  static const PanelProduct& best = __builtin_cpu_supports("x86-64-v4")   ? v4::kProduct
                                    : __builtin_cpu_supports("x86-64-v3") ? v3::kProduct
                                                                          : base::kProduct;
  return best;
}
#else
const PanelProduct& panel_product() { return base::kProduct; }
#endif

}  // namespace vitprobe
