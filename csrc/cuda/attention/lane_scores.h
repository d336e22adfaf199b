// The scores of a warp's queries and 16 keys, and what a lane of the fast attention kernel adds up.
//
// The largest score is not looked for. Floats have room for weights far above 1: a lane sums a
// stage relative to a `top` that it had before, and when a sum is above 2^24, since a score is far
// above it, the warp does the stage once more the careful way (block.h), in which `top` follows the
// scores. A lane's first `top` is the largest of its first scores, so no weight is lost below it.
//
// A score then costs a fused multiply-add, an exponential, an addition; a subtraction, a load and a
// fused multiply-add for the distance, another one for the entropy.
#pragma once

#include "common/host_device.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/keys.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr float kMostSum = 1 << 24;  // of a stage's weights, before it is done carefully

// steps: of 16 halves, that cover D.
template <typename T, int steps, class Far> struct LaneScores {
  static constexpr int kMs = 2, kRows = 2 * kMs, kChunks = kStageKeys / kChunkKeys;
  using Stage = KeyStage<steps, Far>;

  // Of a lane's queries: row r of these is 8 (r%2) + 16 (r/2) + l/4 of the warp's 32.
  struct Own {
    typename Far::Query place[kRows];
    QuerySums<float> sums[kRows];
  };
  struct StageSums {
    float top[kRows], patch[kRows], distance[kRows], weighted[kRows];
  };
  template <class Block> struct Scores {
    typename Block::template PerThread<AccumulatorFragment> of[kMs][2];

    VP_DEVICE float at(int thread, int row, int key) const {
      return of[row / 2][key / 2][thread].at[row % 2 * 2 + key % 2];
    }
  };

  FarGrid grid;
  int log_shares;  // of the warps that have the same queries
  float scale;     // from products to scores

  // Of those with the same queries, which a warp is: it has every 2^log_shares-th chunk of keys.
  VP_DEVICE int share_of(int warp) const { return warp & ((1 << log_shares) - 1); }

  // The scores of a chunk of a stage's keys.
  template <class Block, class Operands>
  VP_DEVICE void multiply(Block block, Stage& stage, const Operands (&rows)[kMs][steps],
                          Scores<Block>& z, int chunk, int warp) const {
    Operands keys;
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < 2 * kMs; ++i) z.of[i / 2][i % 2][thread] = {{0, 0, 0, 0}};
    });
    VP_UNROLL
    for (int s = 0; s < steps; ++s) {
      block.ldmatrix(warp, keys, [&](int thread) {
        const Place at = b_source(thread % kWarpSize);
        const int first = chunk * kChunkKeys * kRowBytes + swizzled(at.row, at.at);
        return stage.panel[s / kRowSteps].bytes + (first ^ s % kRowSteps * kStepBytes);
      });
      VP_UNROLL
      for (int i = 0; i < 2 * kMs; ++i) {
        auto& own_z = z.of[i / 2][i % 2];
        block.template mma<T>(warp, own_z, own_z, rows[i / 2][s], keys, i % 2);
      }
    }
  }

  // From a warp's first chunk.
  template <class Block, class Owns, class Operands>
  VP_DEVICE void set_tops(Block block, Stage& stage, Owns& own, const Operands (&rows)[kMs][steps],
                          int warp) const {
    Scores<Block> z;
    multiply(block, stage, rows, z, share_of(warp), warp);
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) {
        own[thread].sums[r].top = scale * fmaxf(fmaxf(z.at(thread, r, 0), z.at(thread, r, 1)),
                                                fmaxf(z.at(thread, r, 2), z.at(thread, r, 3)));
      }
    });
  }

  // A stage of patches without a bias, relative to the tops that are; false, and nothing is added,
  // if one has to follow.
  template <class Block, class Owns, class Operands>
  VP_DEVICE bool add_patches(Block block, Stage& stage, const typename Far::Table& table, Owns& own,
                             const Operands (&rows)[kMs][steps], int warp) const {
    typename Block::template PerThread<StageSums> sums;
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) {
        sums[thread].top[r] = own[thread].sums[r].top;
        sums[thread].patch[r] = sums[thread].distance[r] = sums[thread].weighted[r] = 0;
      }
    });
    int chunk = share_of(warp);
    do {
      Scores<Block> z;
      multiply(block, stage, rows, z, chunk, warp);
      block.each_lane(warp, [&](int thread) {
        const auto keys = stage.lane_keys(chunk, thread);
        StageSums& to = sums[thread];
        VP_UNROLL
        for (int r = 0; r < kRows; ++r) {
          float far[kLaneKeys];
          Far::four(table, grid, own[thread].place[r], keys.at, far);
          VP_UNROLL
          for (int i = 0; i < kLaneKeys; ++i) {
            const float t = z.at(thread, r, i) * scale - to.top[r], p = power_of_two(t);
            to.patch[r] += p;
            to.distance[r] += p * far[i];
            to.weighted[r] += p * t;
          }
        }
      });
      chunk += 1 << log_shares;
    } while (chunk < kChunks);
    const bool too_much = block.any(warp, [&](int thread) {
      bool some = false;
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) some |= sums[thread].patch[r] > kMostSum;
      return some;
    });
    if (too_much) return false;
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) {
        QuerySums<float>& to = own[thread].sums[r];
        to.patch += sums[thread].patch[r];
        to.distance += sums[thread].distance[r];
        to.weighted += sums[thread].weighted[r];
      }
    });
    return true;
  }
};

}  // namespace vitprobe::kernels
