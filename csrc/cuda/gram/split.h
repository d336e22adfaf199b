// What one block of the fast Gram kernel does: all its rows of x, one split of K.
//
//   split  | stage | stage | ...                one stage: 128 bytes of every row
//   stage  | step step step step |              one step: 32 bytes, one mma
//
// A block keeps three stages in shared memory: one is multiplied, the next is prepared (prepare.h),
// the third arrives (stage.h); then a barrier. A row of shared memory serves both as a row of A and
// as a column of B, for tiles on the diagonal too. The accumulators of the whole lower triangle
// stay in registers (warp_tiles.h) until the split ends; then they are one partial result, fp32.
//
// Sums. The matrix unit truncates, so a sum on it is short: a chain of one or two steps (32 halves,
// 16 floats in TF32, 8 in 3xTF32), started at minus the chain's rest (shift.h), then added to
// an fp32 register, rounded to nearest; at most 1,024 additions to a split.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/mma.h"
#include "cuda/device/shared_rows.h"
#include "cuda/device/warps.h"
#include "cuda/gram/prepare.h"
#include "cuda/gram/stage.h"
#include "cuda/gram/warp_tiles.h"
#include "cuda/matrix.h"

namespace vitprobe::kernels {

constexpr int kStages = 3;

template <class Math, class Tiles> struct GramBlock {
  using T = typename Math::T;
  static constexpr int kRows = Tiles::kRows, kFragments = Tiles::kFragments;
  static constexpr int kChain = Math::kChain < Tiles::kSteps ? Math::kChain : Tiles::kSteps;
  using Shift = Prepare<Math, kRows>;

  struct Shared {
    SharedRows<kRows> stage[kStages];
    StageRests rests[2];  // of the stage that is multiplied and of the next
  };
  // What a thread needs in every stage.
  struct Own {
    StageCopies<T, kRows> copies;
    int left[2];  // where its A of the first step is: of the long warp tile and of the short one
    int right;    // its B, of the first 32 columns
  };
  struct Rows {
    const unsigned char* at[kChain];
  };
  struct Sums {
    float cell[Tiles::kCells][kFragments][2][4];
  };

  // out: the block's partial result, (groups, kSize) floats, each written once. copy: stage.h.
  template <class Block>
  VP_DEVICE static void run(Block block, Shared& shared, const Matrix<T>& x, const Shift& shift,
                            const BlockRows& rows, Range stages, int copy, float* out) {
    const int k_blocks = static_cast<int>(stages.end - stages.begin);  // <= kRunStages
    const float inverse = 1.0f / static_cast<float>(rows.count);
    typename Block::template PerThread<Sums> sums;
    typename Block::template PerThread<Own> own;

    const auto load = [&](int k_block, int thread) {
      if (k_block >= k_blocks) return;
      own[thread].copies.load(block, shared.stage[k_block % kStages], k_block, copy, thread);
      block.commit(thread);
    };
    const auto prepare = [&](int k_block, int warp) {
      if (k_block >= k_blocks) return;
      shift(block, shared.stage[k_block % kStages], shared.rests[k_block % 2], rows.count, inverse,
            stages.begin + k_block, warp);
    };
    block.each_thread([&](int thread) {
      sums[thread] = Sums{};
      own[thread] = places(x, rows, stages.begin, thread);
      for (int k_block = 0; k_block < kStages; ++k_block) {
        clear_rows(shared.stage[k_block], rows.count, thread);
        if (k_block < kStages - 1) load(k_block, thread);
      }
      block.template wait<0>(thread);
    });
    block.each_warp([&](int warp) { prepare(0, warp); });
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      block.each_warp([&](int warp) {
        // To the place of the stage before this one, which all warps have left.
        block.each_lane(warp, [&](int thread) { load(k_block + kStages - 1, thread); });
        // One half of the warps waits for what it reads and adds up, while the other multiplies.
        VP_LOOP
        for (int round = 0; round < 2; ++round) {
          if (round == warp / (kWarps / 2)) {
            prepare(k_block + 1, warp);
          } else {
            multiply(block, shared, own, rows, k_block, sums, warp);
          }
        }
        block.each_lane(warp, [&](int thread) { block.template wait<0>(thread); });
      });
    }
    block.each_thread([&](int thread) { store(sums[thread], out, thread); });
  }

 private:
  VP_DEVICE static Own places(const Matrix<T>& x, const BlockRows& rows, int64_t first_stage,
                              int thread) {
    const int lane = thread % kWarpSize, warp = thread / kWarpSize;
    const int own_tiles = warp % Tiles::kWarpTiles, group = warp / Tiles::kWarpTiles;
    const int tiles[2] = {Tiles::long_warp_tile(own_tiles), Tiles::short_warp_tile(own_tiles)};
    const int unit = 2 * group * Tiles::kSteps;
    const Place a = a_source(lane), b = b_source(lane);
    Own own{{x, rows, first_stage, thread}, {}, 0};
    for (int i = 0; i < 2; ++i) {
      own.left[i] = swizzled(tiles[i] * Tiles::kWarpTile + a.row, unit + a.at);
    }
    own.right = swizzled(Tiles::half(own_tiles) * 16 + b.row, unit + b.at);
    return own;
  }

  // Adds one stage to the sums of a warp: its group's chains, one after the other.
  template <class Block, class Owns, class SumsOf>
  VP_DEVICE static void multiply(Block block, Shared& shared, Owns& own, const BlockRows& rows,
                                 int k_block, SumsOf& sums, int warp) {
    using Operands = typename Block::template PerThread<OperandFragment>;
    using Accumulators = typename Block::template PerThread<AccumulatorFragment>;
    const int own_tiles = warp % Tiles::kWarpTiles, group = warp / Tiles::kWarpTiles;
    // Warp tiles outside the matrix have nothing to do.
    const bool has_long = Tiles::long_warp_tile(own_tiles) * Tiles::kWarpTile < rows.count;
    const bool has_short = Tiles::short_warp_tile(own_tiles) * Tiles::kWarpTile < rows.count;
    const int short_cells = has_short ? Tiles::short_cells(own_tiles) : 0;
    const int cells = has_long ? Tiles::long_cells(own_tiles) : short_cells;
    unsigned char* stage = shared.stage[k_block % kStages].bytes;
    const StageRests& rests = shared.rests[k_block % 2];

    VP_LOOP
    for (int step = 0; step < Tiles::kSteps; step += kChain) {  // of the group's
      Operands a[2][kFragments][kChain][Math::kParts];          // of the long and short warp tile
      Accumulators start;
      block.each_lane(warp, [&](int thread) {
        if constexpr (sizeof(T) == 2) {
          const int unit = 2 * (group * Tiles::kSteps + step);
          float rest = rests.of_unit[unit];
          VP_UNROLL
          for (int u = 1; u < 2 * kChain; ++u) rest += rests.of_unit[unit + u];
          start[thread] = four_times(rest);
        } else {
          start[thread] = {{0.0f, 0.0f, 0.0f, 0.0f}};
        }
      });
      VP_UNROLL
      for (int which = 0; which < (Tiles::kCorner ? 1 : 2); ++which) {
        VP_UNROLL
        for (int m = 0; m < kFragments; ++m) {
          VP_UNROLL
          for (int k = 0; k < kChain; ++k) {
            Operands read;
            block.ldmatrix(warp, read, [&](int thread) {
              return stage + (own[thread].left[which] ^ (step + k) * kStepBytes) +
                     m * 16 * kRowBytes;
            });
            in_parts(block, read, a[which][m][k], warp);
          }
        }
      }
      typename Block::template PerThread<Rows> right;
      block.each_lane(warp, [&](int thread) {
        VP_UNROLL
        for (int k = 0; k < kChain; ++k) {
          right[thread].at[k] = stage + (own[thread].right ^ (step + k) * kStepBytes);
        }
      });
      Operands read[2][kChain];  // of B: for this cell, and already for the next one
      const auto read_right = [&](int cell) {
        VP_UNROLL
        for (int k = 0; k < kChain; ++k) {
          block.ldmatrix(warp, read[cell % 2][k],
                         [&](int thread) { return right[thread].at[k] + cell * 32 * kRowBytes; });
        }
      };
      read_right(0);
      VP_UNROLL
      for (int cell = 0; cell < Tiles::kColumns; ++cell) {
        if (cell >= cells) break;
        // What every long warp tile needs is read without asking.
        constexpr int kLeast = Tiles::cells_of(Tiles::kWarpTiles / 2);
        const int next = cell + 1;
        if (next < Tiles::kColumns && (next < kLeast || next < cells)) read_right(next);
        Operands b[kChain][Math::kParts];
        VP_UNROLL
        for (int k = 0; k < kChain; ++k) in_parts(block, read[cell % 2][k], b[k], warp);
        if (has_long) chain<0>(block, start, a, b, sums, cell, warp);
        // No short warp tile is longer than half of the columns, rounded up.
        constexpr int kHalf = (Tiles::kColumns + 1) / 2;
        if (!Tiles::kCorner && cell < kHalf && cell < short_cells) {
          chain<1>(block, start, a, b, sums, Tiles::short_place(cell), warp);
        }
      }
    }
  }

  template <class Block, class Operands>
  VP_DEVICE static void in_parts(Block block, const Operands& read, Operands (&parts)[Math::kParts],
                                 int warp) {
    block.each_lane(warp, [&](int thread) {
      parts[0][thread] = read[thread];
      if constexpr (Math::kParts == 2) Math::in_parts(parts[0][thread], parts[1][thread]);
    });
  }

  // One cell of a warp tile: a chain of steps on the matrix unit, then one addition in fp32.
  template <int which, class Block, class Accumulators, class As, class Bs, class SumsOf>
  VP_DEVICE static void chain(Block block, const Accumulators& start, const As& a, const Bs& b,
                              SumsOf& sums, int place, int warp) {
    Accumulators d[kFragments][2];
    VP_UNROLL
    for (int k = 0; k < kChain; ++k) {
      VP_UNROLL
      for (int term = 0; term < Math::kTerms; ++term) {
        VP_UNROLL
        for (int i = 0; i < kFragments * 2; ++i) {
          Accumulators& own = d[i / 2][i % 2];
          block.template mma<T>(warp, own, k + term == 0 ? start : own,
                                a[which][i / 2][k][Math::left(term)], b[k][Math::right(term)],
                                i % 2);
        }
      }
    }
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < kFragments * 2 * 4; ++i) {
        sums[thread].cell[place][i / 8][i / 4 % 2][i % 4] += d[i / 8][i / 4 % 2][thread].at[i % 4];
      }
    });
  }

  // Neighbouring threads store neighbouring floats.
  VP_DEVICE static void store(const Sums& sums, float* out, int thread) {
    float* own = out + thread / Tiles::kThreadsEach * Tiles::kSize + thread % Tiles::kThreadsEach;
    VP_UNROLL
    for (int v = 0; v < Tiles::kValues; ++v) {
      const int place = v / Tiles::kCell, i = v % Tiles::kCell;
      own[v * Tiles::kThreadsEach] = sums.cell[place][i / 8][i / 4 % 2][i % 4];
    }
  }
};

}  // namespace vitprobe::kernels
