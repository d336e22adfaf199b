// Runs bodies that work by warps (warps.h) on the GPU, in order, on one stream. Their shared
// memory is dynamic: it may exceed 48 KiB.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <climits>
#include <cstdint>

#include "cuda/device/async_copy.h"
#include "cuda/device/device_grid.cuh"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

struct DeviceWarps : DeviceBlock {
  // Every lane knows its warp; told by lane 0, the compiler knows that they agree.
  int own_warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpSize, 0);

  template <class Phase> __device__ void each_warp(const Phase& phase) const {
    __builtin_assume(own_warp >= 0 && own_warp < kWarps);
    phase(own_warp);
    __syncthreads();
  }
  template <class Phase> __device__ void each_lane(int, const Phase& phase) const {
    phase(static_cast<int>(threadIdx.x));
  }
  __device__ void sync_warp() const { __syncwarp(); }

  template <class Row>
  __device__ void ldmatrix(int, PerThread<OperandFragment>& out, const Row& row) const {
    kernels::ldmatrix(out[0], row(static_cast<int>(threadIdx.x)));
  }
  template <class Row>
  __device__ void ldmatrix_transposed(int, PerThread<OperandFragment>& out, const Row& row) const {
    kernels::ldmatrix_transposed(out[0], row(static_cast<int>(threadIdx.x)));
  }
  template <typename T>
  __device__ void mma(int, PerThread<AccumulatorFragment>& d,
                      const PerThread<AccumulatorFragment>& c, const PerThread<OperandFragment>& a,
                      const PerThread<OperandFragment>& b, int which) const {
    kernels::mma<T>(d[0], c[0], a[0], b[0].at[2 * which], b[0].at[2 * which + 1]);
  }
  template <class Value> __device__ void swap(int, int mask, const Value& value) const {
    auto& own = value(static_cast<int>(threadIdx.x));
    own = __shfl_xor_sync(0xffffffffu, own, mask);
  }
  template <class Value, class Source>
  __device__ void spread(int, const Value& value, const Source& source) const {
    auto& own = value(static_cast<int>(threadIdx.x));
    own = __shfl_sync(0xffffffffu, own, source(static_cast<int>(threadIdx.x) % kWarpSize));
  }
  template <class Predicate> __device__ bool any(int, const Predicate& predicate) const {
    return __any_sync(0xffffffffu, predicate(static_cast<int>(threadIdx.x)));
  }

  __device__ void copy_if(bool wanted, int, void* to, const void* from) const {
    async_copy_if(wanted, to, from);
  }
  template <int kBytes> __device__ void copy(int, void* to, const void* from, int bytes) const {
    async_copy<kBytes>(to, from, bytes);
  }
  __device__ void commit(int) const { commit_copies(); }
  template <int kGroups> __device__ void wait(int) const { wait_copies<kGroups>(); }
};

template <class Body>
__global__ void __launch_bounds__(kThreads, Body::kBlocksEach)
    run_warps(const __grid_constant__ Body body) {
  extern __shared__ __align__(128) unsigned char shared[];
  body(DeviceWarps{}, *reinterpret_cast<typename Body::Shared*>(shared),
       static_cast<int64_t>(blockIdx.x));
}

// Gives the kernel its shared memory on the current device, once for each of them; threads that
// come together may do it twice. An error is returned and does not stay behind: the next launch
// would find it in cudaGetLastError.
template <class Body> cudaError_t allow_shared(int bytes) {
  static std::atomic<uint64_t> done{0};  // a bit for each device, of the first 64
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  const uint64_t bit = device < 64 ? uint64_t{1} << device : 0;
  if (error == cudaSuccess && (done.load(std::memory_order_relaxed) & bit) != 0) return error;
  if (error == cudaSuccess) {
    error =
        cudaFuncSetAttribute(run_warps<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  }
  if (error == cudaSuccess) {  // else the driver may leave room for one block only
    error = cudaFuncSetAttribute(run_warps<Body>, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared);
  }
  if (error == cudaSuccess) {
    done.fetch_or(bit, std::memory_order_relaxed);
  } else {
    (void)cudaGetLastError();
  }
  return error;
}

struct WarpGrid : DeviceGrid {
  template <class Body> void launch_warps(int64_t blocks, const Body& body) {
    constexpr int bytes = sizeof(typename Body::Shared);
    if (error == cudaSuccess && blocks > INT_MAX) error = cudaErrorInvalidConfiguration;
    if (error == cudaSuccess) error = allow_shared<Body>(bytes);
    if (error != cudaSuccess) return;
    run_warps<<<static_cast<unsigned>(blocks), kThreads, bytes, stream>>>(body);
    error = cudaGetLastError();
  }
};

}  // namespace vitprobe::kernels
