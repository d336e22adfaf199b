// What the CUDA launchers share: the device and stream to launch on, matrices,
// workspace.
// Workspace comes from torch's allocator and goes back to it as soon as the kernels are queued:
// the allocator hands it out again in the order of the same stream.
#pragma once

#ifndef USE_CUDA
#define USE_CUDA  // torch's stable headers declare their CUDA functions only then
#endif

#include <cuda_runtime_api.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>
#include <torch/headeronly/util/shim_utils.h>

#include "cuda/launch.h"
#include "ops.h"

namespace vitprobe {

// Makes a device the current one while it lives; stream() is torch's current stream there.
//
// There are two CUDA runtimes: torch's, which the guard speaks to, and the static one in here,
// whose device is set by hand. It is not set back: every launch sets it, and setting one makes a
// context there, perhaps on a GPU that this process has nothing to do with.
class OnDevice {
 public:
  explicit OnDevice(int32_t index) : index_(index), guard_(index) {
    STD_CUDA_CHECK(cudaSetDevice(index));
  }

  cudaStream_t stream() const {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(index_, &stream));
    return static_cast<cudaStream_t>(stream);
  }

 private:
  torch::stable::accelerator::DeviceIndex index_;
  torch::stable::accelerator::DeviceGuard guard_;
};

class OnDeviceOf : public OnDevice {
 public:
  explicit OnDeviceOf(const Tensor& x) : OnDevice(x.get_device_index()) {}
};

inline kernels::AnyMatrix matrix(const Rows& x) { return {x.data, x.n, x.p, x.stride}; }

inline Tensor workspace(const Tensor& like, int64_t size, ScalarType type = ScalarType::Double) {
  return torch::stable::new_empty(like, {size}, type);
}

// Of x's device.
inline int sm_count(const Tensor& x) {
  int count = 0;
  STD_CUDA_CHECK(
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, x.get_device_index()));
  return count;
}

inline double* doubles(const Tensor& x) { return static_cast<double*>(x.mutable_data_ptr()); }
inline float* floats(const Tensor& x) { return static_cast<float*>(x.mutable_data_ptr()); }

inline void check_launch(cudaError_t error) { STD_CUDA_CHECK(error); }

// out[] = the packed Gram matrix, centred and packed again (cuda/gram/center.h).
inline void center_into(const Tensor& packed, int64_t n, bool biased, void* out,
                        ScalarType out_type, cudaStream_t stream) {
  const Tensor sums = workspace(packed, kernels::center_sums(n));
  check_launch(kernels::launch_center_pack(packed.const_data_ptr(),
                                           element_of(packed.scalar_type()), n, biased,
                                           doubles(sums), out, element_of(out_type), stream));
}

}  // namespace vitprobe
