// All pairs of layers in large tiles, on the GPU: what it computes and how is told in fast.h
// and split.h.
//
// Alone:  nvcc -arch=sm_90a -Xptxas -v -c csrc/cuda/hsic/fast.cu
#include "cuda/hsic/fast.h"

#include "cuda/device/device_grid.cuh"
#include "cuda/launch.h"

namespace vitprobe::kernels {

cudaError_t launch_hsic_accumulate_fast(const AnyMatrix& a, const AnyMatrix& b,
                                        const SplitPlan& plan, float* partials,
                                        const Accumulator& acc, cudaStream_t stream) {
  if (plan.per_launch < 1) return cudaErrorInvalidValue;
  DeviceGrid grid{stream};
  hsic_accumulate_fast(grid, typed<float>(a), typed<float>(b), plan, partials, acc);
  return grid.error;
}

}  // namespace vitprobe::kernels
