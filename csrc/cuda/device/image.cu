// Whether the kernels were compiled for a device: asked of one that is compiled like all others.
#include "cuda/launch.h"

namespace vitprobe::kernels {
namespace {

__global__ void empty() {}

}  // namespace

cudaError_t find_image() {
  // This may load the kernel, which is no work of a stream that is being captured.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, empty);
  (void)cudaGetLastError();
  cudaThreadExchangeStreamCaptureMode(&mode);
  return error;
}

}  // namespace vitprobe::kernels
