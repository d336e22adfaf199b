// Rows of 128 bytes in shared memory, in units of 16: unit u of row i lies at place u ^ (i%8), so
// that the same unit of eight neighbouring rows is in eight different groups of banks, as the
// eight units of one row are.
#pragma once

#include "common/host_device.h"
#include "cuda/device/mma.h"

namespace vitprobe::kernels {

// Byte of a unit. Eight rows further it is 8 kRowBytes more; of unit u + v, where the bits of u and
// v are apart, it is that of unit u with bits v kUnit turned.
VP_HD constexpr int swizzled(int row, int unit) {
  return row * kRowBytes + (unit ^ (row % 8)) * kUnit;
}

template <int rows> struct alignas(kRowBytes) SharedRows {
  unsigned char bytes[rows * kRowBytes];

  VP_DEVICE unsigned char* at(int row, int unit) { return bytes + swizzled(row, unit); }
};

}  // namespace vitprobe::kernels
