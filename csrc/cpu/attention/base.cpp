// rows.h for any processor, with 16-byte vectors (SSE2, NEON); and the choice among all.
#include <new>
#include <utility>

#include "cpu/attention/rows.h"

#define VP_ISA base
#define VP_VECTOR 16
#define VP_ROWS 4
#if defined(__aarch64__)
#define VP_VECTORS 4
#else
#define VP_VECTORS 2
#endif
#include "cpu/attention/row_kernels.h"

namespace vitprobe {

const AttentionRows& attention_rows() { return VP_BEST(kAttention); }

}  // namespace vitprobe
