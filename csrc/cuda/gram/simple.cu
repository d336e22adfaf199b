// Gram matrix of one layer's activations, on the GPU: what it computes and how is told in simple.h
// and cuda/product.h; here it becomes one kernel per element type.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/simple.cu
#include "cuda/gram/simple.h"

#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_gram(const AnyMatrix& x, Element x_type, const ProductPlan& plan, void* mean,
                        double* partials, void* out, Element out_type, cudaStream_t stream) {
  DeviceGrid grid{stream};
  bool has_kernel = false;
  with_type<float, double, BF16, F16>(x_type, [&](auto element) {
    using T = decltype(element);
    has_kernel = with_type<Widened<T>, double>(out_type, [&](auto to) {
      using Out = decltype(to);
      gram(grid, typed<T>(x), plan, static_cast<Widened<T>*>(mean), partials,
           static_cast<Out*>(out));
    });
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
