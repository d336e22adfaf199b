// Centring and packing of a Gram matrix, on the GPU: what it computes and how is told in center.h.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/center.cu
#include "cuda/gram/center.h"

#include "cuda/device/device_warps.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_center_pack(const void* gram, Element gram_type, int64_t n, bool biased,
                               double* sums, void* out, Element out_type, cudaStream_t stream) {
  WarpGrid grid{{stream}};
  bool has_kernel = false;
  with_type<float, double>(gram_type, [&](auto from) {
    using In = decltype(from);
    has_kernel = with_type<float, In>(out_type, [&](auto to) {
      using Out = decltype(to);
      center_pack(grid, static_cast<const In*>(gram), 1, n, biased, sums, static_cast<Out*>(out),
                  0);
    });
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
