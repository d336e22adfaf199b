// The fast Gram matrix on the GPU: what it computes and how is told in fast.h, and for many sites
// together in group.h; here it becomes kernels for bf16, f16, TF32 and 3xTF32, each in blocks
// of 64, 128 and 256 rows and of corners.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/fast.cu
#include "cuda/gram/fast.h"

#include <vector>

#include "cuda/device/device_warps.cuh"
#include "cuda/gram/group.h"
#include "cuda/launch.h"

namespace vitprobe::kernels {

template <typename T> static Matrix<T> typed(const AnyMatrix& x) {
  return {static_cast<const T*>(x.data), x.rows, x.columns, x.stride};
}

// run(Math{}) with the mathematics of a type.
template <class Run> static cudaError_t with_math(Type type, bool tf32, const Run& run) {
  switch (type) {
    case Type::f32: return tf32 ? run(MathTF32{}) : run(Math3xTF32{});
    case Type::bf16: return run(MathBF16{});
    case Type::f16: return run(MathF16{});
    case Type::f64: break;
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_centered_grams(const AnyMatrix* x, int64_t count, Type x_type, bool tf32,
                                  int64_t num_sms, bool biased, const GroupWorkspace& work,
                                  const GroupResults& to, cudaStream_t stream) {
  return with_math(x_type, tf32, [&](auto math) {
    using Math = decltype(math);
    std::vector<Matrix<typename Math::T>> sites;
    for (int64_t i = 0; i < count; ++i) sites.push_back(typed<typename Math::T>(x[i]));
    WarpGrid grid{{stream}};
    centered_grams<Math>(grid, sites.data(), count, num_sms, biased, work, to);
    return grid.error;
  });
}

}  // namespace vitprobe::kernels
