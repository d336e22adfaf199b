// Centring and packing of a Gram matrix, on the GPU: what it computes and how is told in center.h.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/center.cu
#include "cuda/gram/center.h"

#include "cuda/device/device_warps.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

template <typename In, typename Out>
static cudaError_t launch(const void* gram, int64_t n, bool biased, double* sums, void* out,
                          cudaStream_t stream) {
  WarpGrid grid{{stream}};
  center_pack(grid, static_cast<const In*>(gram), 1, n, biased, sums, static_cast<Out*>(out), 0);
  return grid.error;
}

cudaError_t launch_center_pack(const void* gram, Type gram_type, int64_t n, bool biased,
                               double* sums, void* out, Type out_type, cudaStream_t stream) {
  if (gram_type == Type::f32 && out_type == Type::f32) {
    return launch<float, float>(gram, n, biased, sums, out, stream);
  }
  if (gram_type == Type::f64 && out_type == Type::f64) {
    return launch<double, double>(gram, n, biased, sums, out, stream);
  }
  if (gram_type == Type::f64 && out_type == Type::f32) {
    return launch<double, float>(gram, n, biased, sums, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
