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

// A unit in a lane's registers; one access of 16 bytes.
template <typename Word> struct alignas(kUnit) Unit {
  Word at[4];
};
// Where a lane's rows l, l + 32, .. of a warp's unit are in a stage: the first of them.
template <int rows> VP_DEVICE unsigned char* own_unit(SharedRows<rows>& stage, int thread) {
  return stage.at(thread % kWarpSize, thread / kWarpSize);
}
constexpr int kOwnStep = kWarpSize * kRowBytes;  // from one of them to the next

}  // namespace vitprobe::kernels
