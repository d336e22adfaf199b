// What a block of the fast attention kernel keeps of 64 keys, and how it comes to shared memory.
//
// A row of k is cut into panels of 128 bytes, each swizzled as in cuda/device/mma.h; behind the
// row's end zeros are copied. Beside them, where each key lies (distance.h). Rows behind the last
// key are not copied: what stands there spoils only scores that are left out.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kStageKeys = 64;

template <typename T, int steps, class Far> struct KeyStage {
  static constexpr int kUnits = 2 * steps;  // of a row
  static constexpr int kPanels = (kUnits + kRowUnits - 1) / kRowUnits;
  static_assert(kStageKeys * kUnits % kThreads == 0);

  SharedRows<kStageKeys> panel[kPanels];
  typename Far::Key places[kStageKeys];

  VP_DEVICE unsigned char* at(int row, int unit) {
    return panel[unit / kRowUnits].at(row, unit % kRowUnits);
  }

  // Starts the copies of the keys from key0 on; `rows` is key 0 of the image and head.
  template <class Block>
  VP_DEVICE void load(Block block, const T* rows, int64_t stride, const AttentionShape& shape,
                      const FarGrid& grid, int key0, int thread) {
    const int tokens = static_cast<int>(shape.tokens);
    VP_UNROLL
    for (int j = 0; j < kStageKeys * kUnits / kThreads; ++j) {
      const int i = thread + j * kThreads, row = i / kUnits, unit = i % kUnits;
      if (key0 + row >= tokens) continue;
      const int64_t left = shape.depth * static_cast<int64_t>(sizeof(T)) - unit * kUnit;
      const int bytes = left > 0 ? kUnit : 0;  // rows are whole units
      const T* from = rows + (key0 + row) * stride;
      block.template copy<kUnit>(thread, at(row, unit),
                                 bytes > 0 ? from + unit * (kUnit / sizeof(T)) : from, bytes);
    }
    if (thread < kStageKeys) {
      const int patch = key0 + thread - static_cast<int>(shape.prefix);
      const bool is_patch = patch >= 0 && key0 + thread < tokens;
      places[thread] = Far::key(grid, is_patch ? patch : 0);
    }
  }
};

}  // namespace vitprobe::kernels
