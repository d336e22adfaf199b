// One stage of the fast Gram kernel: 128 bytes of every row of a block, in shared memory.
//
//   load      starts the copies: 8 neighbouring threads copy the 128 bytes of a row
//   prepare   subtracts the shift (shift.h). Warp u owns unit u, 16 bytes of every row; lane l
//             has rows l, l + 32, ... A block that holds all rows of x finds the shift itself, by
//             sums over the rows, so x is read once; else the shift is given.
//
// Every access is free of bank conflicts: eight lanes at a time touch either the eight units of
// one row, or one unit of eight neighbouring rows (cuda/device/mma.h).
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"
#include "cuda/gram/shift.h"
#include "cuda/gram/warp_tiles.h"

namespace vitprobe::kernels {

template <typename T> constexpr int kUnitColumns = kUnit / static_cast<int>(sizeof(T));
template <typename T> constexpr int kStageColumns = kRowBytes / static_cast<int>(sizeof(T));

struct alignas(kUnit) Unit {
  uint32_t words[4];
};

// Number c of a unit; the type lies in its words as in memory (little-endian).
VP_DEVICE inline float number(const Unit& unit, int c, float) {
  return float_of_bits(unit.words[c]);
}
template <typename T> VP_DEVICE inline float number(const Unit& unit, int c, T) {
  return widen(T{static_cast<uint16_t>(unit.words[c / 2] >> (c % 2 * 16))});
}
VP_DEVICE inline void put(Unit& unit, int c, float value) { unit.words[c] = bits_of_float(value); }
template <typename T> VP_DEVICE inline void put(Unit& unit, int c, T value) {
  const int up = c % 2 * 16;
  unit.words[c / 2] = (unit.words[c / 2] & (0xffff0000u >> up)) | uint32_t{value.bits} << up;
}

template <int rows> struct alignas(kRowBytes) Stage {
  unsigned char bytes[rows * kRowBytes];

  VP_DEVICE unsigned char* at(int row, int unit) { return bytes + swizzled(row, unit); }
  VP_DEVICE Unit& unit(int row, int unit) { return *reinterpret_cast<Unit*>(at(row, unit)); }
};

// What prepare leaves beside the shifted stage: of each unit, the sum of the columns' rests.
struct StageRests {
  float of_unit[kRowUnits];
};

// kRowUnits = kWarps: a warp to a unit.
static_assert(kRowUnits == kWarps);

// copy: bytes that one copy moves, 16 or 4; 2: rows are not aligned to 4, plain loads.
template <typename T, int rows, class Block>
VP_DEVICE void load_stage(Block block, Stage<rows>& to, const Matrix<T>& x, const BlockRows& own,
                          int64_t stage, int copy, int thread) {
  const int unit = thread % kRowUnits;
  const int64_t column = stage * kStageColumns<T> + unit * kUnitColumns<T>;
  const int64_t left = (x.columns - column) * static_cast<int64_t>(sizeof(T));
  const int bytes = left >= kUnit ? kUnit : left > 0 ? static_cast<int>(left) : 0;
  VP_LOOP
  for (int j = 0; j < rows * kRowUnits / kThreads; ++j) {
    const int row = thread / kRowUnits + j * (kThreads / kRowUnits);
    if (row >= own.count) continue;
    const T* source = x.data + own.row(row) * x.stride + (bytes > 0 ? column : 0);
    const auto* from = reinterpret_cast<const unsigned char*>(source);
    unsigned char* place = to.at(row, unit);
    if (copy == 16) {
      block.template copy<16>(thread, place, from, bytes);
    } else if (copy == 4) {
      for (int part = 0; part < kUnit; part += 4) {
        const int some = bytes - part >= 4 ? 4 : bytes > part ? bytes - part : 0;
        block.template copy<4>(thread, place + part, some > 0 ? from + part : from, some);
      }
    } else {
      for (int c = 0; c < kUnitColumns<T>; ++c) {
        const bool inside = c * static_cast<int>(sizeof(T)) < bytes;
        reinterpret_cast<T*>(place)[c] = inside ? source[c] : T{};
      }
    }
  }
}

template <typename T, int rows> struct Prepare {
  static constexpr int kColumns = kUnitColumns<T>;
  static constexpr bool kHalf = kIsHalf<T>;                      // squares are needed too
  static constexpr int kSums = kHalf ? 2 * kColumns : kColumns;  // 16 or 4
  static constexpr int kOwnRows = rows / kLanes;
  struct Scratch {
    Shift found[kWarps][kColumns];
  };
  struct Own {
    float sums[kSums], sent[kSums / 2];
  };

  Matrix<T> x;
  const float* shift;  // given, (p,), or null
  const float* rest;

  template <class Block>
  VP_DEVICE void operator()(Block block, Stage<rows>& stage, Scratch& scratch, StageRests& rests,
                            int count, int64_t index, int warp) const {
    typename Block::template PerThread<Own> own(block);
    Shift(&found)[kColumns] = scratch.found[warp];
    if (shift == nullptr) {
      find(block, stage, found, own, count, warp);
    } else {
      look_up(block, found, index, warp);
    }
    block.sync_warp();
    const bool some = block.any(warp, [&](int thread) {
      return !(found[thread % kColumns].shift == 0.0f);  // the mean of non-finite floats, too
    });
    if (kHalf && some && shift == nullptr) try_out(block, stage, found, count, warp);
    if (kHalf) sum_rests(block, found, rests, own, warp);
    if (some) {
      block.each_lane(warp, [&](int thread) { subtract(stage, found, count, thread, warp); });
    }
  }

 private:
  // A lane sums its own rows; then lanes add what they have, halving it.
  template <class Block, class Owns>
  VP_DEVICE static void find(Block block, Stage<rows>& stage, Shift (&found)[kColumns], Owns& own,
                             int count, int warp) {
    block.each_lane(warp, [&](int thread) {
      Own& mine = own[thread];
      const Unit pivot = stage.unit(0, warp);
      VP_UNROLL
      for (int s = 0; s < kSums; ++s) mine.sums[s] = 0.0f;
      VP_UNROLL
      for (int j = 0; j < kOwnRows; ++j) {
        const int row = thread % kLanes + j * kLanes;
        if (row >= count) continue;
        const Unit unit = stage.unit(row, warp);
        VP_UNROLL
        for (int c = 0; c < kColumns; ++c) {
          const float value = number(unit, c, T{});
          mine.sums[c] += kHalf ? value : value - number(pivot, c, T{});
          if constexpr (kHalf) mine.sums[kColumns + c] += value * value;
        }
      }
    });
    halve<kSums / 2, kLanes / 2>(block, own, warp);
    // Now lanes 16 .. 31 of bf16 and f16 have the squares of lanes 0 .. 15's columns.
    if constexpr (kHalf) {
      block.each_lane(warp, [&](int thread) { own[thread].sent[0] = own[thread].sums[0]; });
      block.swap(warp, kLanes / 2, [&](int thread) -> float& { return own[thread].sent[0]; });
    }
    block.each_lane(warp, [&](int thread) {
      Own& mine = own[thread];
      const int lane = thread % kLanes;
      constexpr int kSame = kHalf ? 2 : 8;  // lanes that have the same sum
      const int column = lane / kSame % kColumns;
      const bool first = !kHalf || lane < kLanes / 2;
      const float sum = first ? mine.sums[0] : mine.sent[0];
      const float squares = first ? mine.sent[0] : mine.sums[0];
      float pivot = 0.0f;
      if constexpr (!kHalf) pivot = float_of_bits(stage.unit(0, warp).words[column]);
      if (lane < kSame * kColumns && lane % kSame == 0) {
        found[column] = column_shift<T>(pivot, sum, squares, count);
      }
    });
  }

  // Lanes with and without bit `mask` share their sums, each keeping half; until one is left, which
  // is then added over the other bits.
  template <int keep, int mask, class Block, class Owns>
  VP_DEVICE static void halve(Block block, Owns& own, int warp) {
    if constexpr (mask == 0) {
      return;
    } else if constexpr (keep == 0) {
      add_across(block, own, mask, warp);
    } else {
      block.each_lane(warp, [&](int thread) {
        Own& mine = own[thread];
        const bool upper = (thread & mask) != 0;
        VP_UNROLL
        for (int s = 0; s < keep; ++s) {
          mine.sent[s] = upper ? mine.sums[s] : mine.sums[s + keep];
          mine.sums[s] = upper ? mine.sums[s + keep] : mine.sums[s];
        }
      });
      VP_UNROLL
      for (int s = 0; s < keep; ++s) {
        block.swap(warp, mask, [&](int thread) -> float& { return own[thread].sent[s]; });
      }
      block.each_lane(warp, [&](int thread) {
        VP_UNROLL
        for (int s = 0; s < keep; ++s) own[thread].sums[s] += own[thread].sent[s];
      });
    }
    halve<keep / 2, mask / 2>(block, own, warp);
  }

  // What is given has been tried; the place of the mean takes the rest.
  template <class Block>
  VP_DEVICE void look_up(Block block, Shift (&found)[kColumns], int64_t index, int warp) const {
    block.each_lane(warp, [&](int thread) {
      const int lane = thread % kLanes;
      const int64_t column = index * kStageColumns<T> + warp * kColumns + lane;
      if (lane >= kColumns) return;
      const bool inside = column < x.columns;
      found[lane].shift = inside ? shift[column] : 0.0f;
      found[lane].mean = inside ? rest[column] : 0.0f;
    });
  }

  // Drops the shifts that are not exact in every row.
  template <class Block>
  VP_DEVICE static void try_out(Block block, Stage<rows>& stage, Shift (&found)[kColumns],
                                int count, int warp) {
    VP_LOOP
    for (int c = 0; c < kColumns; ++c) {
      const float own = found[c].shift;
      const bool inexact = block.any(warp, [&](int thread) {
        bool some = false;
        for (int row = thread % kLanes; row < count; row += kLanes) {
          const float value = widen(reinterpret_cast<const T*>(stage.at(row, warp))[c]);
          some = some || !shift_is_exact<T>(value, own);
        }
        return some;
      });
      block.each_lane(warp, [&](int thread) {
        if (inexact && thread % kLanes == 0) found[c].shift = 0.0f;
      });
    }
    block.sync_warp();
  }

  template <class Block, class Owns>
  VP_DEVICE static void add_across(Block block, Owns& own, int mask, int warp) {
    block.each_lane(warp, [&](int thread) { own[thread].sent[0] = own[thread].sums[0]; });
    block.swap(warp, mask, [&](int thread) -> float& { return own[thread].sent[0]; });
    block.each_lane(warp, [&](int thread) { own[thread].sums[0] += own[thread].sent[0]; });
  }

  template <class Block, class Owns>
  VP_DEVICE void sum_rests(Block block, const Shift (&found)[kColumns], StageRests& rests,
                           Owns& own, int warp) const {
    block.each_lane(warp, [&](int thread) {
      const Shift mine = found[thread % kColumns];
      own[thread].sums[0] = shift == nullptr ? mine.rest(kHalf) : mine.mean;
    });
    VP_UNROLL
    for (int bit = 1; bit < kColumns; bit *= 2) add_across(block, own, bit, warp);
    block.each_lane(warp, [&](int thread) {
      if (thread % kLanes == 0) rests.of_unit[warp] = own[thread].sums[0];
    });
  }

  VP_DEVICE static void subtract(Stage<rows>& stage, const Shift (&found)[kColumns], int count,
                                 int thread, int warp) {
    VP_UNROLL
    for (int j = 0; j < kOwnRows; ++j) {
      const int row = thread % kLanes + j * kLanes;
      if (row >= count) continue;
      Unit unit = stage.unit(row, warp);
      VP_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        put(unit, c, narrow(number(unit, c, T{}) - found[c].shift, T{}));
      }
      stage.unit(row, warp) = unit;
    }
  }
};

}  // namespace vitprobe::kernels
