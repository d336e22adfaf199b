// In CUDA's runtime's place, for a program that keeps its own memory: what it allocates lies on the
// interpreter's device (device_program.py), and no time passes.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "torch.h"

namespace {

using OnCopy = void (*)(void* to, const void* from, size_t bytes, int read);
using OnFree = void (*)();

OnCopy on_copy;
OnFree on_free;
int allocated;

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void keep_memory(OnCopy copy, OnFree free) {
  on_copy = copy;
  on_free = free;
}

cudaError_t cudaMalloc(void** place, size_t bytes) {
  ++allocated;
  *place = torch::stable::new_bytes(static_cast<int64_t>(bytes));
  return cudaSuccess;
}
cudaError_t cudaFree(void*) {
  if (--allocated == 0) on_free();
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  on_copy(to, from, bytes, kind == cudaMemcpyDeviceToHost);
  return cudaSuccess;
}
// Bytes of 0xff are those that nothing may read: they stay as new.
cudaError_t cudaMemset(void* place, int value, size_t bytes) {
  if (value == 0) {
    const std::vector<char> zeros(bytes);
    on_copy(place, zeros.data(), bytes, 0);
  }
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* of, int) {
  *of = {};
  std::snprintf(of->name, sizeof(of->name), "the interpreter");
  of->major = 8;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t*) { return cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  return *milliseconds = 1.0f, cudaSuccess;
}
}
