// In CUDA's runtime's place: hands every launch, with its parameters as they lie in memory, to
// Python, which executes it before the launch returns (interpreted.py). And the way in: call().
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "torch.h"

namespace {

using OnLaunch = int (*)(const char* kernel, const unsigned* grid, const unsigned* block,
                         size_t shared, void** parameters);
using OnEmpty = void* (*)(int64_t bytes);

OnLaunch on_launch;
OnEmpty on_empty;
int num_sms;

struct Configuration {
  dim3 grid, block;
  size_t shared;
};
Configuration pushed;

struct Kernel {
  std::string name;
  size_t most_dynamic = 48 << 10;  // without the attribute
};
std::map<const void*, Kernel>& kernels() {
  static std::map<const void*, Kernel> all;
  return all;
}

cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error) { return last_error = error; }

}  // namespace

std::map<std::string, torch::stable::Boxed>& torch::stable::operators() {
  static std::map<std::string, Boxed> all;
  return all;
}

void* torch::stable::new_bytes(int64_t bytes) { return on_empty(bytes); }

extern "C" {

__attribute__((visibility("default"))) void start(OnLaunch launch, OnEmpty empty, int sms) {
  on_launch = launch;
  on_empty = empty;
  num_sms = sms;
}

// The results' number, or -1 and why.
__attribute__((visibility("default"))) int call(const char* name, const Argument* arguments,
                                                Described* results, char* why, size_t room) {
  try {
    return torch::stable::operators().at(name)(arguments, results);
  } catch (const std::exception& error) {
    std::snprintf(why, room, "%s", error.what());
    return -1;
  }
}

void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*,
                            dim3*, dim3*, int*) {
  kernels()[host].name = name;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st*) {
  pushed = {grid, block, shared};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void*) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(host));
  return cudaSuccess;
}
cudaError_t cudaLaunchKernel(const void* host, dim3 grid, dim3 block, void** parameters,
                             size_t shared, cudaStream_t) {
  const Kernel& kernel = kernels().at(host);
  if (grid.x == 0 || block.x == 0) return failed(cudaErrorInvalidConfiguration);
  if (shared > kernel.most_dynamic) return failed(cudaErrorInvalidValue);
  const unsigned grids[] = {grid.x, grid.y, grid.z}, blocks[] = {block.x, block.y, block.z};
  if (on_launch(kernel.name.c_str(), grids, blocks, shared, parameters)) {
    return failed(cudaErrorLaunchFailure);
  }
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** parameters,
                               size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, parameters, shared, stream);
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t) { return "error"; }
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrMultiProcessorCount) return failed(cudaErrorInvalidValue);
  *value = num_sms;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* host, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value > 163 << 10) return failed(cudaErrorInvalidValue);  // an sm_80's
  kernels().at(host).most_dynamic = value;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  return cudaSuccess;
}
}
