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

#if VP_X86_TARGETS
namespace avx2 {
extern const AttentionRows kAttention;
}
namespace avx512 {
extern const AttentionRows kAttention;
}

static const AttentionRows& choose() {
  if (has_avx512()) return avx512::kAttention;
  return has_avx2() ? avx2::kAttention : base::kAttention;
}
#else
static const AttentionRows& choose() { return base::kAttention; }
#endif

const AttentionRows& attention_rows() {
  static const AttentionRows& best = choose();
  return best;
}

}  // namespace vitprobe
