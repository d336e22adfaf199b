// What one block of the fast Gram kernel does: all its rows of x, one split of K.
//
//   split  | stage | stage | ...                one stage: 128 bytes of every row
//   stage  | step step step step |              one step: 32 bytes, one mma
//
// A block keeps three stages in shared memory: one is multiplied, the next is shifted, the third
// arrives (cp.async). A row of shared memory serves both as a row of A and as a column of B, for
// tiles on the diagonal too. The accumulators of the whole lower triangle stay in registers
// (warp_tiles.h) until the split ends; then they are one partial result, fp32.
//
// Sums. The matrix unit truncates, so a sum on it is short: a chain of one or two steps (32 halves,
// 16 floats in TF32, 8 in 3xTF32), started at minus the chain's rest (shift.h), then added to
// an fp32 register, rounded to nearest; at most 1,024 additions to a split.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"
#include "cuda/gram/shift.h"
#include "cuda/gram/stage.h"
#include "cuda/gram/warp_tiles.h"
#include "cuda/product.h"

namespace vitprobe::kernels {

constexpr int kStages = 3;

template <class Math, class Tiles> struct GramBlock {
  using T = typename Math::T;
  static constexpr int kRows = Tiles::kRows, kMs = Tiles::kMs;
  static constexpr int kChain = Math::kChain < Tiles::kSteps ? Math::kChain : Tiles::kSteps;
  using Shift = Prepare<T, kRows>;

  struct Shared {
    Stage<kRows> stage[kStages];
    typename Shift::Scratch scratch;
    StageRests rests[2];  // of the stage that is multiplied and of the next
  };
  struct Sums {
    float cell[Tiles::kCells][kMs][2][4];
  };
  using Operand = uint32_t[Math::kParts][4];
  struct Fragments {
    Operand a[2][kMs][kChain];  // [0] of the long warp tile, [1] of the short one
    Operand b[kChain];          // 16 columns: registers 0, 1 of the first 8, 2, 3 of the others
    float start[4], d[kMs][2][4];
  };

  // out: the block's partial result, (groups, kSize) floats, each written once. copy: load_stage.
  template <class Block>
  VP_DEVICE static void run(Block block, Shared& shared, const Matrix<T>& x, const Shift& shift,
                            const BlockRows& rows, Range stages, int copy, float* out) {
    const int k_blocks = static_cast<int>(stages.end - stages.begin);  // <= kRunStages
    typename Block::template PerThread<Sums> sums(block);

    block.each_thread([&](int thread) {
      sums[thread] = Sums{};
      for (int k_block = 0; k_block < kStages - 1; ++k_block) {
        load(block, shared, x, rows, copy, stages.begin, k_block, k_blocks, thread);
      }
      block.template wait<kStages - 2>(thread);
    });
    block.each_warp([&](int warp) {
      if (k_blocks > 0) prepare(block, shared, shift, rows, stages.begin, 0, warp);
    });
    for (int k_block = 0; k_block < k_blocks; ++k_block) {
      block.each_thread([&](int thread) {
        load(block, shared, x, rows, copy, stages.begin, k_block + kStages - 1, k_blocks, thread);
        block.template wait<kStages - 2>(thread);
      });
      block.each_warp([&](int warp) {
        if (k_block + 1 < k_blocks)
          prepare(block, shared, shift, rows, stages.begin, k_block + 1, warp);
        multiply(block, shared, rows, k_block, sums, warp);
      });
    }
    block.each_thread([&](int thread) { store(sums[thread], out, thread); });
  }

 private:
  // Behind the last stage an empty group is committed, so that the newest but one is always the
  // stage that is waited for.
  template <class Block>
  VP_DEVICE static void load(Block block, Shared& shared, const Matrix<T>& x, const BlockRows& rows,
                             int copy, int64_t first, int k_block, int k_blocks, int thread) {
    if (k_block < k_blocks) {
      load_stage(block, shared.stage[k_block % kStages], x, rows, first + k_block, copy, thread);
    }
    block.commit(thread);
  }

  template <class Block>
  VP_DEVICE static void prepare(Block block, Shared& shared, const Shift& shift,
                                const BlockRows& rows, int64_t first, int k_block, int warp) {
    shift(block, shared.stage[k_block % kStages], shared.scratch, shared.rests[k_block % 2],
          rows.count, first + k_block, warp);
  }

  // Adds one stage to the sums of a warp: its group's chains, one after the other.
  template <class Block, class SumsOf>
  VP_DEVICE static void multiply(Block block, Shared& shared, const BlockRows& rows, int k_block,
                                 SumsOf& sums, int warp) {
    const int own_tiles = warp % Tiles::kWarpTiles, group = warp / Tiles::kWarpTiles;
    const int warp_tiles[2] = {Tiles::long_warp_tile(own_tiles), Tiles::short_warp_tile(own_tiles)};
    // Strips outside the matrix have nothing to do.
    const int cells[2] = {
        warp_tiles[0] * Tiles::kWarpTile < rows.count ? Tiles::long_cells(own_tiles) : 0,
        warp_tiles[1] * Tiles::kWarpTile < rows.count ? Tiles::short_cells(own_tiles) : 0};
    Stage<kRows>& stage = shared.stage[k_block % kStages];
    const StageRests& rests = shared.rests[k_block % 2];
    typename Block::template PerThread<Fragments> own(block);

    VP_LOOP
    for (int step = group * Tiles::kSteps; step < (group + 1) * Tiles::kSteps; step += kChain) {
      block.each_lane(warp, [&](int thread) {
        float rest = 0.0f;
        if constexpr (sizeof(T) == 2) {
          VP_UNROLL
          for (int u = 0; u < 2 * kChain; ++u) rest += rests.of_unit[2 * step + u];
        }
        VP_UNROLL
        for (int r = 0; r < 4; ++r) own[thread].start[r] = -rest;
      });
      VP_UNROLL
      for (int which = 0; which < (Tiles::kCorner ? 1 : 2); ++which) {
        VP_UNROLL
        for (int m = 0; m < kMs; ++m) {
          VP_UNROLL
          for (int k = 0; k < kChain; ++k) {
            fetch(block, stage, warp, warp_tiles[which] * Tiles::kWarpTile + m * 16, step + k,
                  a_source, [&](int thread) -> Operand& { return own[thread].a[which][m][k]; });
          }
        }
      }
      VP_UNROLL
      for (int cell = 0; cell < Tiles::kColumns; ++cell) {
        // No short warp tile is longer than half of the columns, rounded up.
        constexpr int kHalf = (Tiles::kColumns + 1) / 2;
        const bool in_short = !Tiles::kCorner && cell < kHalf && cell < cells[1];
        if (cell >= cells[0] && !in_short) continue;
        VP_UNROLL
        for (int k = 0; k < kChain; ++k) {
          fetch(block, stage, warp, cell * 32 + Tiles::half(own_tiles) * 16, step + k, b_source,
                [&](int thread) -> Operand& { return own[thread].b[k]; });
        }
        if (cell < cells[0]) {
          chain(block, own, warp, 0,
                [&](int thread) -> float (&)[kMs][2][4] { return sums[thread].cell[cell]; });
        }
        if (in_short) {
          constexpr int kLast = Tiles::kCells - 1;
          const int place = kLast - cell < 0 ? 0 : kLast - cell;
          chain(block, own, warp, 1,
                [&](int thread) -> float (&)[kMs][2][4] { return sums[thread].cell[place]; });
        }
      }
    }
  }

  // One operand: 32 bytes of the 16 rows from row0 on.
  template <class Block, class Source, class Into>
  VP_DEVICE static void fetch(Block block, Stage<kRows>& stage, int warp, int row0, int step,
                              const Source& source, const Into& into) {
    block.ldmatrix(
        warp, [&](int thread) { return into(thread)[0]; },
        [&](int lane) {
          const Cell at = source(lane);
          return stage.at(row0 + at.row, 2 * step + at.at);
        });
    block.each_lane(warp, [&](int thread) { Math::into_parts(into(thread)); });
  }

  // One cell of a warp tile: a chain of steps on the matrix unit, then one addition in fp32.
  template <class Block, class FragmentsOf, class Cells>
  VP_DEVICE static void chain(Block block, FragmentsOf& own, int warp, int which,
                              const Cells& cell) {
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < kMs * 2 * 4; ++i) {
        own[thread].d[i / 8][i / 4 % 2][i % 4] = own[thread].start[i % 4];
      }
    });
    VP_UNROLL
    for (int k = 0; k < kChain; ++k) {
      VP_UNROLL
      for (int term = 0; term < Math::kTerms; ++term) {
        VP_UNROLL
        for (int i = 0; i < kMs * 2; ++i) {
          block.template mma<T>(
              warp, [&](int thread) { return own[thread].d[i / 2][i % 2]; },
              [&](int thread) { return own[thread].a[which][i / 2][k][Math::left(term)]; },
              [&](int thread) { return own[thread].b[k][Math::right(term)] + i % 2 * 2; });
        }
      }
    }
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < kMs * 2 * 4; ++i) {
        cell(thread)[i / 8][i / 4 % 2][i % 4] += own[thread].d[i / 8][i / 4 % 2][i % 4];
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
