// The fast Gram matrix on the GPU: what it computes and how is told in gram_mma.h; here it becomes
// kernels for bf16, f16, TF32 and 3xTF32, each in blocks of 64, 128 and 256 rows and of corners.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/kernels/gram_mma.cu
#include "gram_mma.h"

#include "device_warps.cuh"
#include "launch.h"

namespace vitprobe::kernels {

template <class Math>
static cudaError_t launch(const AnyMatrix& x, int64_t places, float* partials, float* shifts,
                          double* packed, cudaStream_t stream) {
  using T = typename Math::T;
  WarpGrid grid{{stream}};
  gram_fast<Math>(grid, Matrix<T>{static_cast<const T*>(x.data), x.rows, x.columns, x.stride},
                  places, partials, shifts, packed);
  return grid.error;
}

cudaError_t launch_gram_fast(const AnyMatrix& x, Type x_type, bool tf32, int64_t places,
                             float* partials, float* shifts, double* packed, cudaStream_t stream) {
  switch (x_type) {
    case Type::f32:
      return tf32 ? launch<MathTF32>(x, places, partials, shifts, packed, stream)
                  : launch<Math3xTF32>(x, places, partials, shifts, packed, stream);
    case Type::bf16:
      return launch<MathBF16>(x, places, partials, shifts, packed, stream);
    case Type::f16:
      return launch<MathF16>(x, places, partials, shifts, packed, stream);
    case Type::f64:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
