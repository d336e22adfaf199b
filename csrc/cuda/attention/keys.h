// What a block of the fast attention kernel keeps of 64 keys, and how it comes to shared memory.
//
// Keys are counted from the first patch on; the class token and registers come behind the patches.
// A row of k is cut into panels of 128 bytes, each swizzled as in cuda/device/shared_rows.h, behind
// its end zeros. Of 16 keys, those whose scores a lane gets (cuda/device/mma.h: columns 2c and
// 2c + 1 of two products) are four neighbours: key 4c + 2n + b lies in row 8n + 2c + b. Beside
// them, where each key lies in the grid (distance.h). Rows behind the last key are not copied: what
// stands there spoils only scores that are left out.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kKeyStages = 3;
constexpr int kStageKeys = 64;
constexpr int kChunkKeys = 16;  // that a warp multiplies at once

template <int steps, class Far> struct KeyStage {
  static constexpr int kUnits = 2 * steps;  // of a row
  static constexpr int kPanels = (kUnits + kRowUnits - 1) / kRowUnits;

  struct alignas(kLaneKeys * sizeof(typename Far::Key)) LaneKeys {
    typename Far::Key at[kLaneKeys];
  };

  SharedRows<kStageKeys> panel[kPanels];
  LaneKeys places[kStageKeys / kLaneKeys];

  VP_HD static constexpr int row_of(int key) {
    return key / 16 * 16 + key / 2 % 2 * 8 + key % 16 / 4 * 2 + key % 2;
  }
  VP_DEVICE const LaneKeys& lane_keys(int chunk, int lane) const {
    return places[chunk * (kChunkKeys / kLaneKeys) + lane % (kChunkKeys / kLaneKeys)];
  }
};

// What a thread copies of every stage: a unit of one key or several, and where one key lies.
template <typename T, int steps, class Far> struct KeyCopies {
  using Stage = KeyStage<steps, Far>;
  static constexpr int kAcross = steps > 4 ? 16 : steps > 2 ? 8 : 4;  // threads to a key
  static constexpr int kKeysAtOnce = kThreads / kAcross, kCopies = kStageKeys / kKeysAtOnce;
  static_assert(Stage::kUnits <= kAcross && kKeysAtOnce % 16 == 0);

  const T* from;  // its unit of its first key of the next stage
  int keys;       // from there on; none: at most 0
  int patches;    // of these
  int place;      // byte of the unit in a stage
  GridPlace at;   // of key `thread` of the next stage

  VP_DEVICE KeyCopies() {}
  VP_DEVICE KeyCopies(const T* rows, int64_t stride, const AttentionShape& shape,
                      const FarGrid& grid, Stage (&stages)[kKeyStages], int thread) {
    const int key = thread / kAcross, unit = thread % kAcross;
    const bool inside = unit * kUnit < shape.depth * static_cast<int64_t>(sizeof(T));
    from = rows + (shape.prefix + key) * stride + unit * (kUnit / static_cast<int>(sizeof(T)));
    keys = inside ? static_cast<int>(shape.tokens) - key : 0;
    patches = static_cast<int>(shape.patches()) - key;
    place =
        unit / kRowUnits * kStageKeys * kRowBytes + swizzled(Stage::row_of(key), unit % kRowUnits);
    at = grid.place(thread % kStageKeys);
    if (inside || unit >= Stage::kUnits) return;
    for (Stage& stage : stages) {
      for (int j = 0; j < kCopies; ++j) {
        auto* zeros = reinterpret_cast<uint32_t*>(to(stage, j));
        for (int i = 0; i < kUnit / 4; ++i) zeros[i] = 0;
      }
    }
  }

  // Starts the copies of the next stage. behind: from the token behind the last one to token 0,
  // since the class token and registers come last.
  template <class Block>
  VP_DEVICE void load(Block block, Stage& stage, int64_t stride, int64_t behind,
                      const FarGrid& grid, const GridStep& by_stage, int warp, int thread) {
    if (patches > kStageKeys - kKeysAtOnce) {  // all of its keys
      VP_UNROLL
      for (int j = 0; j < kCopies; ++j) {
        block.copy_if(keys > 0, thread, to(stage, j), from + j * kKeysAtOnce * stride);
      }
    } else {
      VP_LOOP
      for (int j = 0; j < kCopies; ++j) {
        const T* source = from + j * kKeysAtOnce * stride;
        if (j * kKeysAtOnce >= patches) source -= behind;
        block.copy_if(j * kKeysAtOnce < keys, thread, to(stage, j), source);
      }
    }
    if (warp < kStageKeys / kWarpSize) {
      const bool is_patch = thread - thread / kAcross < patches;
      stage.places[thread / kLaneKeys].at[thread % kLaneKeys] =
          Far::key(grid, is_patch ? at : GridPlace{0, 0});
      at = by_stage.from(at);
    }
    from += kStageKeys * stride;
    keys -= kStageKeys;
    patches -= kStageKeys;
  }

 private:
  VP_DEVICE unsigned char* to(Stage& stage, int j) const {
    return reinterpret_cast<unsigned char*>(&stage) + place + j * kKeysAtOnce * kRowBytes;
  }
};

}  // namespace vitprobe::kernels
