// Attention statistics on the GPU, simple: what they are and how they are computed is told in
// simple.h, the class token's row in class_row.h; here they become kernels.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/attention/simple.cu
#include "cuda/attention/simple.h"

#include "cuda/attention/class_row.h"
#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_attention(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Element type, const AnyHeads& bias, double* partials, void* out,
                             cudaStream_t stream) {
  DeviceGrid grid{stream};
  const bool has_kernel = with_type<float, double, BF16, F16>(type, [&](auto element) {
    using T = decltype(element);
    attention<T>(grid, shape, typed<T>(q), typed<T>(k), typed<Widened<T>>(bias), partials,
                 static_cast<Widened<T>*>(out));
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

cudaError_t launch_class_row(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Element type, const AnyHeads& bias, void* out, cudaStream_t stream) {
  DeviceGrid grid{stream};
  const bool has_kernel = with_type<float, double, BF16, F16>(type, [&](auto element) {
    using T = decltype(element);
    class_row<T>(grid, shape, typed<T>(q), typed<T>(k), typed<Widened<T>>(bias),
                 static_cast<Widened<T>*>(out));
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
