// What a block of the fast attention kernel does: 256 queries of one image and head, all keys.
//
//   key_block    64 keys; a block keeps three stages of them, one is multiplied while two arrive
//   warp    32 queries, whose q stays in registers; 16 keys at a time: 32 x 16 scores (mma.sync)
//   lane    of these 4 queries by 4 keys; running sums of its own (parts.h)
//
// No value is multiplied with the weights, so the lanes of a query need not agree on the largest
// score before its end: each runs its own online softmax, without a shuffle, and the four of a
// query are merged once. A lane's `top` moves only when a score is 2^8 above it: the sums are the
// same numbers, only their scale is not, and most rescaling falls away.
//
// A score costs one fused multiply-add, one maximum, one exponential, one subtraction and one load
// for the distance, and four more additions and multiplications. Only the keys at the edges (class
// token, registers, behind the last key) and those with a bias are looked at one by one.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/keys.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kKeyStages = 3;
constexpr float kRoom = 8;  // a score may be 2^kRoom above `top`: a difference of `room`

// steps: of 16 halves, that cover D.
template <class Math, int steps, class Far, bool biased> struct AttentionTile {
  using T = typename Math::T;
  static constexpr int kMs = 2, kQueries = kWarps * kMs * 16;
  static constexpr int kChunk = 16, kNs = kChunk / 8;  // keys that a warp multiplies at once
  static constexpr int kBlocksEach = steps > 4 || biased ? 1 : 2;

  struct Shared {
    KeyStage<T, steps, Far> stage[kKeyStages];
    typename Far::Table table;
    QueryValues<float, kQueries> values;
    double sums[kGroups * kStatistics];
  };
  struct Own {
    typename Far::Query place[kMs][2];  // of rows l/4 and l/4 + 8 of 16
    Running<float> sums[kMs][2];
  };
  struct Products {
    float z[kMs][kNs][4];
  };

  AttentionShape shape;
  Heads<T> q, k;
  Heads<float> bias;
  FarGrid grid;
  float scale, unit, room;  // with a bias scores are in nats, else as multiplied
  double* partials;
  float* out;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t tiles = ceil_div(shape.patches(), kQueries);
    const int64_t image = index / tiles / shape.heads, head = index / tiles % shape.heads;
    const int query0 = static_cast<int>(index % tiles) * kQueries;
    const int queries = static_cast<int>(shape.patches()) - query0;
    const T* keys = k.at(image, shape.key_head(head), 0);
    const int key_blocks = static_cast<int>(ceil_div(shape.tokens, kStageKeys));
    typename Block::template PerThread<Own> own;
    typename Block::template PerThread<OperandFragment> rows[kMs][steps];  // of q

    // Behind the last stage an empty group is committed: the newest but one is always waited for.
    const auto load = [&](int key_block, int thread) {
      if (key_block < key_blocks) {
        shared.stage[key_block % kKeyStages].load(block, keys, k.strides[2], shape, grid,
                                                  key_block * kStageKeys, thread);
      }
      block.commit(thread);
    };
    block.each_thread([&](int thread) {
      for (int key_block = 0; key_block < kKeyStages - 1; ++key_block) load(key_block, thread);
      Far::fill(shared.table, grid, thread);
      begin(own[thread], rows, image, head, query0, queries, thread);
      block.template wait<kKeyStages - 2>(thread);
    });
    for (int key_block = 0; key_block < key_blocks; ++key_block) {
      block.each_warp([&](int warp) {
        // The place of the stage before this one, which all warps have left.
        block.each_lane(warp, [&](int thread) { load(key_block + kKeyStages - 1, thread); });
        if (warp * kMs * 16 < queries) {
          VP_LOOP
          for (int half = 0; half < kStageKeys; half += kChunk) {
            const int key0 = key_block * kStageKeys + half;
            if (key0 >= shape.tokens) break;
            multiply(block, shared, own, rows, key_block % kKeyStages, half, key0, image, head,
                     query0, warp);
          }
        }
        block.each_lane(warp, [&](int thread) { block.template wait<kKeyStages - 2>(thread); });
      });
    }
    block.each_warp([&](int warp) { finish(block, shared, own, warp); });
    double* sums = tiles == 1 ? shared.sums : partials + index * kGroups * kStatistics;
    block.each_thread([&](int thread) { shared.values.sum(queries, sums, thread); });
    if (tiles > 1) return;  // MeanOfQueries follows
    block.each_thread([&](int thread) {
      if (thread == 0) write_means(shape, index, sums, kGroups, out);
    });
  }

 private:
  VP_HD static constexpr int row_of(int thread, int m) {
    return thread / kWarpSize * kMs * 16 + m * 16;
  }

  // q by words of two halves, as cuda/device/mma.h's map has them; zeros outside.
  template <class Operands>
  VP_DEVICE void begin(Own& own, Operands (&rows)[kMs][steps], int64_t image, int64_t head,
                       int query0, int queries, int thread) const {
    VP_UNROLL
    for (int m = 0; m < kMs; ++m) {
      VP_UNROLL
      for (int s = 0; s < steps; ++s) {
        VP_UNROLL
        for (int r = 0; r < 4; ++r) {
          const Cell at = a_cell(thread % kWarpSize, r);
          const int row = row_of(thread, m) + at.row;
          const int depth = (s * kStepBytes + at.at) / static_cast<int>(sizeof(T));
          rows[m][s][thread].at[r] = 0;
          if (row < queries && depth < shape.depth) {
            const T* from = q.at(image, head, shape.prefix + query0 + row) + depth;
            rows[m][s][thread].at[r] = *reinterpret_cast<const uint32_t*>(from);
          }
        }
      }
      VP_UNROLL
      for (int h = 0; h < 2; ++h) {
        const int row = row_of(thread, m) + c_cell(thread % kWarpSize, 2 * h).row;
        own.place[m][h] = Far::query(grid, row < queries ? query0 + row : 0);
        own.sums[m][h] = Running<float>::none();
      }
    }
  }

  // One chunk of keys, `first` of its stage and key0 of all, of a warp's queries.
  template <class Block, class Owns, class Operands>
  VP_DEVICE void multiply(Block block, Shared& shared, Owns& own,
                          const Operands (&rows)[kMs][steps], int slot, int first, int key0,
                          int64_t image, int64_t head, int query0, int warp) const {
    KeyStage<T, steps, Far>& stage = shared.stage[slot];
    typename Block::template PerThread<AccumulatorFragment> z[kMs][kNs];
    Operands key;
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < kMs * kNs; ++i) z[i / kNs][i % kNs][thread] = {{0, 0, 0, 0}};
    });
    VP_UNROLL
    for (int s = 0; s < steps; ++s) {
      VP_UNROLL
      for (int n = 0; n < kNs; n += 2) {
        block.ldmatrix(warp, key, [&](int thread) {
          const Cell at = b_source(thread % kWarpSize);
          return stage.at(first + n * 8 + at.row, 2 * s + at.at);
        });
        VP_UNROLL
        for (int i = 0; i < 2 * kMs; ++i) {
          auto& own_z = z[i / 2][n + i % 2];
          block.template mma<T>(warp, own_z, own_z, rows[i / 2][s], key, i % 2);
        }
      }
    }
    typename Block::template PerThread<Products> products;
    block.each_lane(warp, [&](int thread) {
      VP_UNROLL
      for (int i = 0; i < kMs * kNs * 4; ++i) {
        products[thread].z[i / 4 / kNs][i / 4 % kNs][i % 4] =
            z[i / 4 / kNs][i / 4 % kNs][thread].at[i % 4];
      }
    });
    const bool inner = !biased && key0 >= shape.prefix && key0 + kChunk <= shape.tokens;
    block.each_lane(warp, [&](int thread) {
      const typename Far::Key* places = stage.places + first;
      if (inner) {
        add_inner(own[thread], products[thread], shared.table, places, thread);
      } else {
        const int64_t token0 = shape.prefix + query0;
        add_edge(own[thread], products[thread], shared.table, places, image, head, token0, key0,
                 thread);
      }
    });
    block.sync_warp();  // lanes that moved `top` went another way; mma wants all of them
  }

  VP_HD static constexpr int column_of(int thread, int i) {  // of a lane's four keys
    return i / 2 * 8 + c_cell(thread % kWarpSize, i % 2).at;
  }

  VP_DEVICE void move(Running<float>& sums, const float (&z)[2 * kNs]) const {
    float top = z[0];
    VP_UNROLL
    for (int i = 1; i < 2 * kNs; ++i) top = z[i] > top ? z[i] : top;
    if (top - sums.top > room) sums.move_to(top, unit);
  }

  // Patch keys, all of them inside, without a bias.
  VP_DEVICE void add_inner(Own& own, const Products& products, const typename Far::Table& table,
                           const typename Far::Key* places, int thread) const {
    typename Far::Key keys[2 * kNs];
    VP_UNROLL
    for (int i = 0; i < 2 * kNs; ++i) keys[i] = places[column_of(thread, i)];
    VP_UNROLL
    for (int row = 0; row < kMs * 2; ++row) {
      const int m = row / 2, h = row % 2;
      Running<float>& sums = own.sums[m][h];
      float z[2 * kNs];
      VP_UNROLL
      for (int i = 0; i < 2 * kNs; ++i) z[i] = products.z[m][i / 2][2 * h + i % 2];
      move(sums, z);
      const float zero = sums.top * unit;
      VP_UNROLL
      for (int i = 0; i < 2 * kNs; ++i) {
        const float t = z[i] * unit - zero, p = power_of_two(t);
        sums.patch += p;
        sums.distance += p * Far::between(table, own.place[m][h], keys[i]);
        sums.weighted += p * t;
      }
    }
  }

  VP_DEVICE void add_edge(Own& own, const Products& products, const typename Far::Table& table,
                          const typename Far::Key* places, int64_t image, int64_t head,
                          int64_t token0, int key0, int thread) const {
    VP_UNROLL
    for (int row = 0; row < kMs * 2; ++row) {
      const int m = row / 2, h = row % 2;
      const int64_t token = token0 + row_of(thread, m) + c_cell(thread % kWarpSize, 2 * h).row;
      float z[2 * kNs];
      VP_UNROLL
      for (int i = 0; i < 2 * kNs; ++i) {
        const int key = key0 + column_of(thread, i);
        z[i] = products.z[m][i / 2][2 * h + i % 2];
        if constexpr (biased) {
          const bool inside = token < shape.tokens && key < shape.tokens;
          if (inside) z[i] = z[i] * scale + bias.at(image, head, token)[key * bias.strides[3]];
        }
        if (key >= shape.tokens) z[i] = -INFINITY;
      }
      move(own.sums[m][h], z);
      VP_UNROLL
      for (int i = 0; i < 2 * kNs; ++i) {
        const int column = column_of(thread, i);
        own.sums[m][h].add(z[i], key0 + column >= shape.prefix,
                           Far::between(table, own.place[m][h], places[column]), unit);
      }
    }
  }

  // The four lanes of a query merge what they have; the first of them writes it.
  template <class Block, class Owns>
  VP_DEVICE void finish(Block block, Shared& shared, Owns& own, int warp) const {
    typename Block::template PerThread<Running<float>> sent;
    VP_UNROLL
    for (int row = 0; row < kMs * 2; ++row) {
      const int m = row / 2, h = row % 2;
      VP_UNROLL
      for (int mask = 1; mask <= 2; mask *= 2) {
        block.each_lane(warp, [&](int thread) { sent[thread] = own[thread].sums[m][h]; });
        block.swap(warp, mask, [&](int thread) -> float& { return sent[thread].top; });
        block.swap(warp, mask, [&](int thread) -> float& { return sent[thread].patch; });
        block.swap(warp, mask, [&](int thread) -> float& { return sent[thread].other; });
        block.swap(warp, mask, [&](int thread) -> float& { return sent[thread].distance; });
        block.swap(warp, mask, [&](int thread) -> float& { return sent[thread].weighted; });
        block.each_lane(warp,
                        [&](int thread) { own[thread].sums[m][h].merge(sent[thread], unit); });
      }
      block.each_lane(warp, [&](int thread) {
        const Cell at = c_cell(thread % kWarpSize, 2 * h);
        if (at.at == 0) shared.values.put(row_of(thread, m) + at.row, own[thread].sums[m][h]);
      });
    }
  }
};

}  // namespace vitprobe::kernels
