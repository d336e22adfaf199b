// The fast Gram matrix on the GPU: what it computes and how is told in fast.h, and for many sites
// together in group.h; here it becomes kernels for bf16, f16, TF32 and 3xTF32, each in blocks
// of 64, 128 and 256 rows and of corners.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/gram/fast.cu
#include "cuda/gram/fast.h"

#include <type_traits>
#include <vector>

#include "cuda/device/device_warps.cuh"
#include "cuda/gram/group.h"
#include "cuda/launch.h"

namespace vitprobe::kernels {

// run(Math{}) with the mathematics of a type; false if it has none.
template <class Run> static bool with_math(Element type, bool tf32, const Run& run) {
  return with_type<float, BF16, F16>(type, [&](auto element) {
    using T = decltype(element);
    if constexpr (!std::is_same_v<T, float>) {
      run(std::conditional_t<std::is_same_v<T, BF16>, MathBF16, MathF16>{});
    } else if (tf32) {
      run(MathTF32{});
    } else {
      run(Math3xTF32{});
    }
  });
}

cudaError_t launch_centered_grams(const AnyMatrix* x, int64_t count, Element x_type, bool tf32,
                                  int64_t num_sms, bool biased, const GroupWorkspace& work,
                                  const GroupResults& to, cudaStream_t stream) {
  WarpGrid grid{{stream}};
  const bool has_kernel = with_math(x_type, tf32, [&](auto math) {
    using Math = decltype(math);
    std::vector<Matrix<typename Math::T>> sites;
    for (int64_t i = 0; i < count; ++i) sites.push_back(typed<typename Math::T>(x[i]));
    centered_grams<Math>(grid, sites.data(), count, num_sms, biased, work, to);
  });
  return has_kernel ? grid.error : cudaErrorInvalidValue;
}

}  // namespace vitprobe::kernels
