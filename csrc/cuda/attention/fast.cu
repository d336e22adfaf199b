// Attention statistics on the matrix unit, on the GPU: what is computed and how is told in
// fast.h; here it becomes kernels for bf16 and f16, for four ranges of D, with distances
// looked up and computed.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/attention/fast.cu
#include "cuda/attention/fast.h"

#include "cuda/device/device_warps.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_attention_fast(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                                  Element type, const AnyHeads& bias, int64_t num_sms,
                                  double* partials, float* out, cudaStream_t stream) {
  if (!fits_matrix_unit(shape, q, k)) return cudaErrorInvalidValue;
  WarpGrid grid{{stream}};
  const bool has_kernel = with_type<BF16, F16>(type, [&](auto element) {
    using T = decltype(element);
    attention_fast(grid, shape, typed<T>(q), typed<T>(k), typed<float>(bias), num_sms, partials,
                   out);
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
