// Distance, patch mass and entropy of attention, query by query, on the CPU; no attention matrix.
// Compiled once for each instruction set (cpu/attention/*.cpp); the best that the processor has is
// chosen at run time.
//
//   Patch queries are taken column of the grid after column, so that neighbours share a strip of
//   distances (below). A block of them meets the keys of its head tile by tile: scores of a tile by
//   outer products in registers, then for each query the tile's weights, their sum, their sum with
//   distances and with scores, added to running sums that are rescaled when the maximum grows.
//
//   strip of column c:  |---- row distance R-1 ... 1, 0, 1 ... R-1, each `columns` wide ----|
//   The distances of patch (r, c) to all patches are `patches` neighbouring numbers of it, from
//   row distance r on: two numbers for each token, where a table would need `patches` of them.
//
// Keys are packed patches first, the other tokens behind them.
#pragma once

#include <cstdint>

#include "common/element.h"
#include "common/split.h"
#include "cpu/vector/instruction_set.h"

namespace vitprobe {

struct AttentionInput {
  const void *q, *k;  // dense rows of `depth` numbers of this type
  Element type;
  int64_t images, heads, key_heads, tokens, depth;
  int64_t q_stride[3], k_stride[3];  // elements from one image, head and token to the next
  double scale;
  int64_t rows, columns, prefix;
  const void* bias;        // (images, heads, tokens, tokens), or null; this and the two below are
  int64_t bias_stride[4];  //   double for f64, else float
  const void* distances;   // (rows, 2 columns - 1): of patches dy rows and x - columns + 1 apart
  void* class_row;         // (images, heads, tokens) for the attention of token 0, or null

  int64_t patches() const { return rows * columns; }
};

// Over the queries of one share of one head.
struct AttentionSums {
  double distance_raw, distance, mass, entropy;
  int64_t left_out;
};

struct AttentionRows {
  // sums[t], for t in `tasks`: share t % shares of the patch queries of head t / shares, counted
  // through the images; of class_row the rows of the heads whose share 0 is among them.
  void (*run)(const AttentionInput& input, int64_t shares, Range tasks, AttentionSums* sums);
};

VP_VERSIONS(extern const AttentionRows kAttention);

// The best that this processor runs.
const AttentionRows& attention_rows();

// How many shares the patch queries of a head are cut into, from the sizes alone: enough for many
// threads, each with queries enough to pay for packing the keys once more.
inline int64_t attention_shares(const AttentionInput& input) {
  const int64_t all_heads = input.images * input.heads;
  const int64_t wanted = (64 + all_heads - 1) / all_heads, paid = input.patches() / 64;
  return wanted < paid ? wanted : paid > 1 ? paid : 1;
}

}  // namespace vitprobe
