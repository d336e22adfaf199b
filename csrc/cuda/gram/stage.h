// How a stage, 128 bytes of every row of a block, comes to shared memory (cp.async).
//
// Eight neighbouring threads copy a row, 32 rows at once. Where each thread's rows lie is worked
// out once for all stages of a split.
#pragma once

#include <climits>
#include <cstdint>

#include "common/host_device.h"
#include "common/split.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"
#include "cuda/gram/warp_tiles.h"
#include "cuda/matrix.h"

namespace vitprobe::kernels {

template <typename T> constexpr int kUnitColumns = kUnit / static_cast<int>(sizeof(T));
template <typename T> constexpr int kStageColumns = kRowBytes / static_cast<int>(sizeof(T));

template <typename T, int rows> struct StageCopies {
  static constexpr int kRowsAtOnce = kThreads / kRowUnits;
  static constexpr int kCopies = rows / kRowsAtOnce, kPanelCopies = kPanel / kRowsAtOnce;

  // A thread's unit of its first row of each panel, in the split's first stage.
  const unsigned char *first, *second;
  int64_t step;  // bytes from one of its rows to the next
  int64_t left;  // bytes of a row from there on
  int whole;     // stages of which the unit is whole
  int count;     // rows of x that are left for it, in steps of kRowsAtOnce
  int place;     // byte of the unit in shared memory

  VP_DEVICE StageCopies() {}
  VP_DEVICE StageCopies(const Matrix<T>& x, const BlockRows& own, int64_t first_stage, int thread) {
    const int row = thread / kRowUnits, unit = thread % kRowUnits;
    const int64_t column = first_stage * kStageColumns<T> + unit * kUnitColumns<T>;
    first = reinterpret_cast<const unsigned char*>(x.data + (own.first + row) * x.stride + column);
    second =
        reinterpret_cast<const unsigned char*>(x.data + (own.second + row) * x.stride + column);
    step = kRowsAtOnce * x.stride * static_cast<int64_t>(sizeof(T));
    left = (x.columns - column) * static_cast<int64_t>(sizeof(T));
    const int64_t stages = left < kUnit ? 0 : (left - kUnit) / kRowBytes + 1;
    whole = stages < INT_MAX ? static_cast<int>(stages) : INT_MAX;
    count = own.count - row;
    place = swizzled(row, unit);
  }

  // Starts the copies of stage k_block of the split. copy: bytes that one copy may move, 16 or 4;
  // 2: rows are not aligned to 4, plain loads. Behind the end of a row zeros are stored.
  template <class Block>
  VP_DEVICE void load(Block block, SharedRows<rows>& stage, int k_block, int copy,
                      int thread) const {
    const int64_t offset = int64_t{k_block} * kRowBytes;
    if (copy == kUnit && k_block < whole) {
      VP_UNROLL
      for (int j = 0; j < kCopies; ++j) {
        block.copy_if(j * kRowsAtOnce < count, thread, to(stage, j), from(j) + offset);
      }
      return;
    }
    const int64_t more = left - offset;
    const int bytes = more >= kUnit ? kUnit : more > 0 ? static_cast<int>(more) : 0;
    VP_LOOP
    for (int j = 0; j < kCopies; ++j) {
      if (j * kRowsAtOnce >= count) return;
      copy_unit(block, to(stage, j), bytes > 0 ? from(j) + offset : first, bytes, copy, thread);
    }
  }

 private:
  VP_DEVICE const unsigned char* from(int j) const {
    return j < kPanelCopies ? first + j * step : second + (j - kPanelCopies) * step;
  }
  VP_DEVICE unsigned char* to(SharedRows<rows>& stage, int j) const {
    return stage.bytes + place + j * kRowsAtOnce * kRowBytes;
  }

  // The first `bytes` of a unit, of whatever alignment.
  template <class Block>
  VP_DEVICE static void copy_unit(Block block, unsigned char* to, const unsigned char* from,
                                  int bytes, int copy, int thread) {
    if (copy == kUnit) {
      block.template copy<kUnit>(thread, to, from, bytes);
    } else if (copy == 4) {
      VP_UNROLL
      for (int part = 0; part < kUnit; part += 4) {
        const int some = bytes - part >= 4 ? 4 : bytes > part ? bytes - part : 0;
        block.template copy<4>(thread, to + part, some > 0 ? from + part : from, some);
      }
    } else {
      VP_UNROLL
      for (int c = 0; c < kUnitColumns<T>; ++c) {
        const bool inside = c * static_cast<int>(sizeof(T)) < bytes;
        reinterpret_cast<T*>(to)[c] = inside ? reinterpret_cast<const T*>(from)[c] : T{};
      }
    }
  }
};

// Zeros in the rows that are not loaded: the statistics of a column (prepare.h) take them along.
template <int rows> VP_DEVICE void clear_rows(SharedRows<rows>& stage, int count, int thread) {
  VP_LOOP
  for (int i = count * kRowBytes / 4 + thread; i < rows * kRowBytes / 4; i += kThreads) {
    reinterpret_cast<uint32_t*>(stage.bytes)[i] = 0;
  }
}

}  // namespace vitprobe::kernels
