// All pairs of layers, on the GPU: what it computes and how is told in simple.h and cuda/product.h.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/hsic/simple.cu
#include "cuda/hsic/simple.h"

#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_hsic_accumulate(const AnyMatrix& a, const AnyMatrix& b, Element type,
                                   const ProductPlan& plan, double* partials,
                                   const Accumulator& acc, cudaStream_t stream) {
  DeviceGrid grid{stream};
  const bool has_kernel = with_type<float, double>(type, [&](auto element) {
    using T = decltype(element);
    hsic_accumulate(grid, typed<T>(a), typed<T>(b), plan, partials, acc);
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
