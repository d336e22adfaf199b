// Gram matrix of one layer's activations, on the GPU: what it computes and how is told in simple.h
// and cuda/product.h; here it becomes one kernel per element type.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/simple.cu
#include "cuda/gram/simple.h"

#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

template <typename T, typename Out>
static cudaError_t launch(const AnyMatrix& x, const ProductPlan& plan, void* mean, double* partials,
                          void* out, cudaStream_t stream) {
  DeviceGrid grid{stream};
  gram(grid, Matrix<T>{static_cast<const T*>(x.data), x.rows, x.columns, x.stride}, plan,
       static_cast<Widened<T>*>(mean), partials, static_cast<Out*>(out));
  return grid.error;
}

cudaError_t launch_gram(const AnyMatrix& x, Type x_type, const ProductPlan& plan, void* mean,
                        double* partials, void* out, Type out_type, cudaStream_t stream) {
  const bool wide = out_type == Type::f64;
  switch (x_type) {
    case Type::f32:
      return wide ? launch<float, double>(x, plan, mean, partials, out, stream)
                  : launch<float, float>(x, plan, mean, partials, out, stream);
    case Type::bf16:
      return wide ? launch<BF16, double>(x, plan, mean, partials, out, stream)
                  : launch<BF16, float>(x, plan, mean, partials, out, stream);
    case Type::f16:
      return wide ? launch<F16, double>(x, plan, mean, partials, out, stream)
                  : launch<F16, float>(x, plan, mean, partials, out, stream);
    case Type::f64:
      if (wide) return launch<double, double>(x, plan, mean, partials, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
