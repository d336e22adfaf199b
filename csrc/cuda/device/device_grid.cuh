// Runs kernel bodies (thread_block.h) on the GPU, in order, on one stream.
#pragma once

#include <cuda_runtime.h>

#include <climits>
#include <cstdint>
#include <type_traits>

#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

struct DeviceBlock {
  template <typename T> struct PerThread {
    T value;
    __device__ PerThread() {}
    __device__ explicit PerThread(DeviceBlock) {}
    __device__ T& operator[](int) { return value; }
    __device__ const T& operator[](int) const { return value; }
  };

  template <class Phase> __device__ void each_thread(const Phase& phase) const {
    phase(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

// Blocks that must fit a multiprocessor together: what a body names as kBlocks, else any number.
template <class Body, class = void> constexpr int kBlocksOf = 0;
template <class Body>
constexpr int kBlocksOf<Body, std::void_t<decltype(Body::kBlocks)>> = Body::kBlocks;

// The body is read where the launch put it, in constant memory; no thread makes a copy.
template <class Body>
__global__ void __launch_bounds__(kThreads, kBlocksOf<Body>)
    run_body(const __grid_constant__ Body body) {
  __shared__ typename Body::Shared shared;
  body(DeviceBlock{}, shared, static_cast<int64_t>(blockIdx.x));
}

// After the first error nothing more is launched; `error` keeps it.
struct DeviceGrid {
  cudaStream_t stream;
  cudaError_t error = cudaSuccess;

  template <class Body> void launch(int64_t blocks, const Body& body) {
    if (error != cudaSuccess) return;
    if (blocks > INT_MAX) {
      error = cudaErrorInvalidConfiguration;
      return;
    }
    run_body<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(body);
    error = cudaGetLastError();
  }
};

}  // namespace vitprobe::kernels
