// Attention distance, patch mass and entropy of every image and head; no matrix tokens x tokens.
//
//   q: (B, H, T, D)   float, double, BF16 or F16; any strides
//   k: (B, Hk, T, D)  head h of q has the keys of head h / (H / Hk)
//   bias              (B, H, T, T) of the sums' type, any strides, or none
//   out: (5, B, H)    distance_raw, distance, mass, entropy, left_out: float, double for double
//
//   p_ij = softmax_j(scale q_i.k_j + bias_ij) over all keys, of patch queries i. What the five are:
//   vitprobe/ops/attention.py; how they come from running sums: parts.h.
//
// This is the simple kernel, plain fused multiply-adds; the matrix unit's is fast.h. A
// block has 64 queries of one image and head, and takes all keys, 32 at a time:
//
//   scores   64 x 32 in shared memory; a thread multiplies 4 queries by 2 keys, 16 of D at a time
//   sums     4 threads to a query, each with every fourth key; merged when the keys are through
//
// Then MeanOfQueries. The class token's row: class_row.h.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/widen.h"
#include "cuda/attention/parts.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

template <typename T> struct AttentionQueries {
  using Run = Widened<T>;
  static constexpr int kBlocks = 2;  // on a multiprocessor: 128 registers a thread, none spilled
  static constexpr int kQueries = 64, kKeys = 32, kDepth = 16;
  static constexpr int kOwnQueries = 4, kOwnKeys = 2, kAcross = kKeys / kOwnKeys;
  static constexpr int kShare = kThreads / kQueries;  // threads of a query
  static_assert(kQueries / kOwnQueries * kAcross == kThreads);

  struct Shared {
    Run q[kDepth][kQueries + 1], k[kDepth][kKeys + 1];
    Run scores[kQueries][kKeys + 1];
    QuerySums<Run> sums[kQueries][kShare];
    QueryValues<Run, kQueries> values;
  };
  struct Products {
    Run of[kOwnQueries][kOwnKeys];
  };

  AttentionShape shape;
  Heads<T> q, k;
  Heads<Run> bias;
  double* partials;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t tiles = ceil_div(shape.patches(), kQueries);
    const int64_t image = index / tiles / shape.heads, head = index / tiles % shape.heads;
    const int64_t query0 = index % tiles * kQueries;  // a patch, not a token
    const int64_t queries = shape.patches() - query0;
    typename Block::template PerThread<Products> products(block);
    typename Block::template PerThread<QuerySums<Run>> sums(block);

    block.each_thread([&](int thread) { sums[thread] = QuerySums<Run>::none(); });
    for (int64_t key0 = 0; key0 < shape.tokens; key0 += kKeys) {
      block.each_thread([&](int thread) { products[thread] = Products{}; });
      for (int64_t depth0 = 0; depth0 < shape.depth; depth0 += kDepth) {
        block.each_thread([&](int thread) {
          load(q, image, head, shape.prefix + query0, depth0, shared.q, thread);
          load(k, image, shape.key_head(head), key0, depth0, shared.k, thread);
        });
        block.each_thread([&](int thread) { multiply(shared, products[thread], thread); });
      }
      block.each_thread(
          [&](int thread) { score(shared, products[thread], image, head, query0, key0, thread); });
      block.each_thread([&](int thread) { add(shared, sums[thread], query0, key0, thread); });
    }
    block.each_thread(
        [&](int thread) { shared.sums[thread / kShare][thread % kShare] = sums[thread]; });
    block.each_thread([&](int thread) {
      if (thread >= kQueries) return;
      QuerySums<Run> whole = shared.sums[thread][0];
      for (int i = 1; i < kShare; ++i) {
        whole.merge(shared.sums[thread][i], static_cast<Run>(kLog2E));
      }
      shared.values.put(thread, whole);
    });
    shared.values.sum(block, queries, partials + index * kStatistics);
  }

 private:
  // Rows and depths outside are zeros.
  template <int kPlaces>
  VP_DEVICE void load(const Heads<T>& from, int64_t image, int64_t head, int64_t token0,
                      int64_t depth0, Run (&to)[kDepth][kPlaces], int thread) const {
    const int d = thread % kDepth;
    for (int row = thread / kDepth; row < kPlaces - 1; row += kThreads / kDepth) {
      const bool inside = token0 + row < shape.tokens && depth0 + d < shape.depth;
      to[d][row] = inside ? static_cast<Run>(widen(
                                from.at(image, head, token0 + row)[(depth0 + d) * from.strides[3]]))
                          : Run(0);
    }
  }

  VP_DEVICE static void multiply(const Shared& shared, Products& products, int thread) {
    const int row = thread / kAcross * kOwnQueries, column = thread % kAcross * kOwnKeys;
    VP_UNROLL
    for (int d = 0; d < kDepth; ++d) {
      VP_UNROLL
      for (int i = 0; i < kOwnQueries; ++i) {
        VP_UNROLL
        for (int j = 0; j < kOwnKeys; ++j) {
          products.of[i][j] += shared.q[d][row + i] * shared.k[d][column + j];
        }
      }
    }
  }

  VP_DEVICE void score(Shared& shared, const Products& products, int64_t image, int64_t head,
                       int64_t query0, int64_t key0, int thread) const {
    const int row = thread / kAcross * kOwnQueries, column = thread % kAcross * kOwnKeys;
    VP_UNROLL
    for (int i = 0; i < kOwnQueries; ++i) {
      VP_UNROLL
      for (int j = 0; j < kOwnKeys; ++j) {
        const int64_t token = shape.prefix + query0 + row + i, key = key0 + column + j;
        Run z = static_cast<Run>(shape.scale) * products.of[i][j];
        if (bias.data != nullptr && token < shape.tokens && key < shape.tokens) {
          z += bias.at(image, head, token)[key * bias.strides[3]];
        }
        shared.scores[row + i][column + j] = z;
      }
    }
  }

  VP_DEVICE void add(const Shared& shared, QuerySums<Run>& sums, int64_t query0, int64_t key0,
                     int thread) const {
    const int row = thread / kShare;
    const int64_t query = query0 + row;
    if (query >= shape.patches()) return;
    const int64_t y = query / shape.columns, x = query % shape.columns;
    for (int column = thread % kShare; column < kKeys; column += kShare) {
      const int64_t key = key0 + column - shape.prefix;
      if (key >= shape.patches()) return;
      const Run z = shared.scores[row][column];
      if (z > sums.top) sums.move_to(z, static_cast<Run>(kLog2E));
      const Run dy = static_cast<Run>(y - key / shape.columns) * static_cast<Run>(shape.height);
      const Run dx = static_cast<Run>(x - key % shape.columns) * static_cast<Run>(shape.width);
      sums.add(z, key >= 0, std::sqrt(dy * dy + dx * dx), static_cast<Run>(kLog2E));
    }
  }
};

// Workspace: partials (attention_partials(shape, AttentionQueries<T>::kQueries),).
template <typename T, class Grid>
void attention(Grid& grid, const AttentionShape& shape, const Heads<T>& q, const Heads<T>& k,
               const Heads<Widened<T>>& bias, double* partials, Widened<T>* out) {
  const int64_t tiles = ceil_div(shape.patches(), AttentionQueries<T>::kQueries);
  grid.launch(shape.pairs() * tiles, AttentionQueries<T>{shape, q, k, bias, partials});
  mean_of_queries(grid, shape, tiles, partials, out);
}

}  // namespace vitprobe::kernels
