// Attention statistics on the GPU, simple: what they are and how they are computed is told in
// simple.h, the class token's row in class_row.h; here they become kernels.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/attention/simple.cu
#include "cuda/attention/simple.h"

#include "cuda/attention/class_row.h"
#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

// run(T{}) with the element type of a type.
template <class Run> static cudaError_t with_type(Type type, const Run& run) {
  switch (type) {
    case Type::f32: return run(float{});
    case Type::f64: return run(double{});
    case Type::bf16: return run(BF16{});
    case Type::f16: return run(F16{});
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_attention(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Type type, const AnyHeads& bias, double* partials, void* out,
                             cudaStream_t stream) {
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    DeviceGrid grid{stream};
    attention<T>(grid, shape, typed<T>(q), typed<T>(k), typed<Widened<T>>(bias), partials,
                 static_cast<Widened<T>*>(out));
    return grid.error;
  });
}

cudaError_t launch_class_row(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k,
                             Type type, const AnyHeads& bias, void* out, cudaStream_t stream) {
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    DeviceGrid grid{stream};
    class_row<T>(grid, shape, typed<T>(q), typed<T>(k), typed<Widened<T>>(bias),
                 static_cast<Widened<T>*>(out));
    return grid.error;
  });
}

}  // namespace vitprobe::kernels
