// All pairs of layers, on the GPU: what it computes and how is told in simple.h and cuda/product.h.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/hsic/simple.cu
#include "cuda/hsic/simple.h"

#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

template <typename T>
static cudaError_t launch(const AnyMatrix& a, const AnyMatrix& b, const ProductPlan& plan,
                          double* partials, const Accumulator& acc, cudaStream_t stream) {
  DeviceGrid grid{stream};
  hsic_accumulate(grid, Matrix<T>{static_cast<const T*>(a.data), a.rows, a.columns, a.stride},
                  Matrix<T>{static_cast<const T*>(b.data), b.rows, b.columns, b.stride}, plan,
                  partials, acc);
  return grid.error;
}

cudaError_t launch_hsic_accumulate(const AnyMatrix& a, const AnyMatrix& b, Type type,
                                   const ProductPlan& plan, double* partials,
                                   const Accumulator& acc, cudaStream_t stream) {
  if (type == Type::f32) return launch<float>(a, b, plan, partials, acc, stream);
  if (type == Type::f64) return launch<double>(a, b, plan, partials, acc, stream);
  return cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
