// "" or why no kernel of this library runs on a device, for vitprobe/ops/library.py (ctypes).
#include "cuda/launcher.h"

extern "C" __attribute__((visibility("default"))) const char* vitprobe_why_no_image(int index) {
  try {
    const vitprobe::OnDevice device(index);
    const cudaError_t error = vitprobe::kernels::find_image();
    return error == cudaSuccess ? "" : cudaGetErrorString(error);
  } catch (...) {  // may not reach Python
    return "the device cannot be used";
  }
}
