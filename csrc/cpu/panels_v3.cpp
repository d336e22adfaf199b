// panel_product.h for x86-64-v3.
#include <cstdlib>
#include <utility>

#include "kernels/panel_product.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v3")
#define VP_ISA v3
#define VP_VECTOR 32
#define VP_ROWS 4
#define VP_VECTORS 3
#include "kernels/panel_kernels.h"
#endif
