// What a block of the fast attention kernel does: up to 256 queries of one image and head, all
// keys.
//
//   stage  64 keys; a block keeps three of them, one is multiplied while two arrive (keys.h)
//   warp   32 queries, whose q stays in registers; 16 keys at a time: 32 x 16 scores (mma.sync).
//          Where queries are few, 2 or 4 warps have the same ones, and share the keys.
//   lane   of these 4 queries by 4 keys; running sums of its own (parts.h)
//
// No value is multiplied with the weights, so the lanes of a query need not agree on the largest
// score before its end: each runs its own online softmax, without a shuffle, and what lanes and
// warps have of a query is merged once.
//
// Nor is the largest score looked for where there is no bias: lane_scores.h. Stages with keys that
// are no patches (the last ones) and keys with a bias are done the careful way, key by key, in
// which `top` follows the scores.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/keys.h"
#include "cuda/attention/lane_scores.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr float kRoom = 8;  // a score may be 2^kRoom above `top` before that follows

// steps: of 16 halves, that cover D.
template <typename T, int steps, class Far, bool biased> struct AttentionTile {
  using Lanes = LaneScores<T, steps, Far>;
  static constexpr int kMs = Lanes::kMs, kRows = Lanes::kRows, kWarpQueries = kMs * 16;
  static constexpr int kLogQueries = 8, kQueries = 1 << kLogQueries;
  static_assert(kQueries == kWarps * kWarpQueries);
  static constexpr int kChunks = Lanes::kChunks;
  static constexpr int kBlocksEach = steps > 4 || biased ? 1 : 2;
  // Scores are in base 2; with a bias in nats: a mask may be of the lowest float, times log2 e
  // -inf.
  static constexpr float kUnit2 = biased ? static_cast<float>(kLog2E) : 1.0f;
  using Stage = KeyStage<steps, Far>;

  struct Ending {
    QuerySums<float> sums[4][kQueries + 8];  // of every lane of a query; + 8: no bank conflicts
    QueryValues<float, kQueries> values;
    double total[kStatistics];
  };
  struct Shared {
    union {
      Stage stage[kKeyStages];
      Ending ending;
    };
    typename Far::Table table;
  };
  using Own = typename Lanes::Own;
  template <class Block> using Scores = typename Lanes::template Scores<Block>;
  // What a block works on.
  struct Task {
    int image, head;
    int query0, queries;  // patches: its first, and those left from there on
  };

  AttentionShape shape;
  Heads<T> q, k;
  Heads<float> bias;
  Lanes lanes;
  GridStep by_stage;
  int64_t behind;  // from the token behind the last one back to token 0, of k
  Divider by_tiles, by_heads, by_heads_of_key;
  double* partials;
  float* out;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int patches = static_cast<int>(shape.patches()),
              log_each = kLogQueries - lanes.log_shares;
    const int each = 1 << log_each, tiles = (patches + each - 1) >> log_each;
    const int pair = by_tiles.of(static_cast<int>(index)), image = by_heads.of(pair);
    const int query0 = (static_cast<int>(index) - pair * tiles) << log_each;
    const Task task{image, pair - image * static_cast<int>(shape.heads), query0, patches - query0};
    const T* keys = k.at(image, by_heads_of_key.of(task.head), 0);
    const int stages = (static_cast<int>(shape.tokens) + kStageKeys - 1) / kStageKeys;
    typename Block::template PerThread<Own> own;
    typename Block::template PerThread<KeyCopies<T, steps, Far>> copies;
    typename Block::template PerThread<OperandFragment> rows[kMs][steps];  // of q

    // Behind the last stage an empty group is committed: the newest but one is always waited for.
    const auto load = [&](int stage, int warp, int thread) {
      if (stage < stages) {
        copies[thread].load(block, shared.stage[stage % kKeyStages], k.strides[2], behind,
                            lanes.grid, by_stage, warp, thread);
      }
      block.commit(thread);
    };
    block.each_warp([&](int warp) {
      block.each_lane(warp, [&](int thread) {
        copies[thread] = {keys, k.strides[2], shape, lanes.grid, shared.stage, thread};
        for (int stage = 0; stage < kKeyStages - 1; ++stage) load(stage, warp, thread);
        Far::fill(shared.table, lanes.grid, thread);
        begin(own[thread], rows, task, thread);
        block.template wait<kKeyStages - 2>(thread);
      });
    });
    for (int stage = 0; stage < stages; ++stage) {
      block.each_warp([&](int warp) {
        // The place of the stage before this one, which all warps have left.
        block.each_lane(warp, [&](int thread) { load(stage + kKeyStages - 1, warp, thread); });
        if ((warp >> lanes.log_shares) * kWarpQueries < task.queries) {
          add_stage(block, shared, own, rows, task, stage, warp);
        }
        block.each_lane(warp, [&](int thread) { block.template wait<kKeyStages - 2>(thread); });
      });
    }
    block.each_thread([&](int thread) {
      const int share = lanes.share_of(thread / kWarpSize);
      VP_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int query = query_of(thread, r);
        shared.ending.sums[thread % 4][(query << lanes.log_shares) + share] = own[thread].sums[r];
      }
    });
    block.each_thread([&](int thread) {
      if (thread >= each) return;
      QuerySums<float> whole = QuerySums<float>::none();
      VP_LOOP
      for (int share = 0; share < 1 << lanes.log_shares; ++share) {
        VP_UNROLL
        for (int lane = 0; lane < 4; ++lane) {
          whole.merge(shared.ending.sums[lane][(thread << lanes.log_shares) + share], kUnit2);
        }
      }
      shared.ending.values.put(thread, whole);
    });
    double* total = tiles == 1 ? shared.ending.total : partials + index * kStatistics;
    shared.ending.values.sum(block, task.queries < each ? task.queries : each, total);
    if (tiles > 1) return;  // MeanOfQueries follows
    block.each_thread([&](int thread) {
      if (thread >= kStatistics) return;
      out[thread * shape.pairs() + pair] =
          static_cast<float>(mean_of_queries(thread, total[thread], total[kLeftOut], patches));
    });
  }

 private:
  // The query of the block that is row r of a lane.
  VP_DEVICE int query_of(int thread, int r) const {
    return (thread / kWarpSize >> lanes.log_shares) * kWarpQueries + r / 2 * 16 +
           c_place(thread % kWarpSize, r % 2 * 2).row;
  }

  // q by words of two halves, as cuda/device/mma.h's map has them; zeros behind D. Behind the last
  // query the last one again, which is left out in the end.
  template <class Operands>
  VP_DEVICE void begin(Own& own, Operands (&rows)[kMs][steps], const Task& task, int thread) const {
    VP_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int query = query_of(thread, r) < task.queries ? query_of(thread, r) : task.queries - 1;
      const T* from = q.at(task.image, task.head, shape.prefix + task.query0 + query) +
                      a_place(thread % kWarpSize, 0).at / static_cast<int>(sizeof(T));
      VP_UNROLL
      for (int unit = 0; unit < 2 * steps; ++unit) {
        const int depth = unit * (kUnit / static_cast<int>(sizeof(T)));
        rows[r / 2][unit / 2][thread].at[r % 2 + unit % 2 * 2] =
            depth < shape.depth ? *reinterpret_cast<const uint32_t*>(from + depth) : 0;
      }
      own.place[r] = Far::query(lanes.grid, lanes.grid.place(task.query0 + query));
      own.sums[r] = QuerySums<float>::none();
    }
  }

  template <class Block, class Owns, class Operands>
  VP_DEVICE void add_stage(Block block, Shared& shared, Owns& own,
                           const Operands (&rows)[kMs][steps], const Task& task, int number,
                           int warp) const {
    Stage& stage = shared.stage[number % kKeyStages];
    const int key0 = number * kStageKeys;
    if (!biased && key0 + kStageKeys <= task.query0 + task.queries) {
      if (number == 0) lanes.set_tops(block, stage, own, rows, warp);
      if (lanes.add_patches(block, stage, shared.table, own, rows, warp)) return;
    }
    VP_LOOP
    for (int i = 0; i < kChunks; i += 1 << lanes.log_shares) {
      const int chunk = lanes.share_of(warp) + i;
      if (key0 + chunk * kChunkKeys >= shape.tokens) return;
      Scores<Block> z;
      lanes.multiply(block, stage, rows, z, chunk, warp);
      block.each_lane(warp, [&](int thread) {
        add_carefully(own[thread], z, stage.lane_keys(chunk, thread), shared.table, task,
                      key0 + chunk * kChunkKeys, thread);
      });
      block.sync_warp();  // lanes that moved `top` went another way; mma wants all of them
    }
  }

  template <class Block>
  VP_DEVICE void add_carefully(Own& own, const Scores<Block>& scores,
                               const typename Stage::LaneKeys& keys,
                               const typename Far::Table& table, const Task& task, int key0,
                               int thread) const {
    const int key = key0 + thread % (kChunkKeys / kLaneKeys) * kLaneKeys;
    const int tokens = static_cast<int>(shape.tokens), patches = task.query0 + task.queries;
    VP_UNROLL
    for (int r = 0; r < kRows; ++r) {
      QuerySums<float>& sums = own.sums[r];
      float z[kLaneKeys], far[kLaneKeys], top = -INFINITY;
      Far::four(table, lanes.grid, own.place[r], keys.at, far);
      VP_UNROLL
      for (int i = 0; i < kLaneKeys; ++i) {
        z[i] = scores.at(thread, r, i) * lanes.scale;
        if constexpr (biased) {
          const int query = query_of(thread, r);
          if (query < task.queries && key + i < tokens) {
            const int64_t column = key + i + shape.prefix - (key + i < patches ? 0 : tokens);
            const int64_t token = shape.prefix + task.query0 + query;
            z[i] += bias.at(task.image, task.head, token)[column * bias.strides[3]];
          }
        }
        if (key + i >= tokens) z[i] = -INFINITY;
        top = fmaxf(top, z[i]);
      }
      if (top - sums.top > kRoom / kUnit2) sums.move_to(top, kUnit2);
      VP_UNROLL
      for (int i = 0; i < kLaneKeys; ++i) {
        sums.add(z[i], key + i < patches, far[i], kUnit2);
      }
    }
  }
};

}  // namespace vitprobe::kernels
