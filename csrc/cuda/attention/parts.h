// What the attention kernels share: the problem, one query's running sums, and how the queries of
// an image and head become its five statistics.
//
// Running sums. Of one query and the keys seen so far, z_j the scores, p_j = 2^(unit (z_j - top)):
//
//   patch, other   sum of p_j over patch keys and over the others (class token, registers)
//   distance       sum over patch keys of p_j |pos_i - pos_j|
//   weighted       sum of p_j log2 p_j
//
// With s = patch + other, attention is p_j / s and entropy ln 2 (log2 s - weighted / s), whatever
// `top` is: it only has to be so near to the largest score that nothing overflows. It moves with
// move_to, which the largest score's growth decides. Sums over different keys are merged.
//
// A key that is left out has the score -inf: its p is 0, and 0 log2 0 is taken as 0. A NaN stays:
// no comparison with it is true, and it enters every sum.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "common/split.h"
#include "common/widen.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

// (images, heads, tokens, n) of T as it lies in memory; a bias is (images, heads, tokens, tokens).
template <typename T> struct Heads {
  const T* data;  // null: no bias
  int64_t strides[4];

  VP_HD const T* at(int64_t image, int64_t head, int64_t token) const {
    return data + image * strides[0] + head * strides[1] + token * strides[2];
  }
};

struct AnyHeads {
  const void* data;
  int64_t strides[4];
};

template <typename T> Heads<T> typed(const AnyHeads& x) {
  return {static_cast<const T*>(x.data), {x.strides[0], x.strides[1], x.strides[2], x.strides[3]}};
}

struct AttentionShape {
  int64_t images, heads, key_heads, tokens, depth;
  int64_t rows, columns, prefix;  // tokens = prefix + rows columns
  double scale, height, width;    // of a patch

  VP_HD int64_t patches() const { return rows * columns; }
  VP_HD int64_t pairs() const { return images * heads; }
  VP_HD int64_t key_head(int64_t head) const { return head / (heads / key_heads); }
};

constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;
constexpr int kFloor = -10000;  // 2^kFloor is 0, and kFloor times it too

#if defined(__CUDACC__)
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline double power_of_two(double x) { return exp2(x); }
#else
inline float power_of_two(float x) { return std::exp2(x); }
inline double power_of_two(double x) { return std::exp2(x); }
#endif

template <typename Run> struct QuerySums {
  Run top, patch, other, distance, weighted;

  // The lowest score that is no -inf: a mask may be made of it.
  VP_HD static QuerySums none() {
    const Run lowest = sizeof(Run) == 8 ? static_cast<Run>(-DBL_MAX) : static_cast<Run>(-FLT_MAX);
    return {lowest, 0, 0, 0, 0};
  }

  VP_DEVICE void move_to(Run new_top, Run unit) {
    Run shift = (top - new_top) * unit;
    if (!(shift > kFloor)) shift = kFloor;
    const Run factor = power_of_two(shift);
    weighted = (weighted + (patch + other) * shift) * factor;
    patch *= factor;
    other *= factor;
    distance *= factor;
    top = new_top;
  }

  // One key's score; `away` is its distance, or anything where it is no patch.
  VP_DEVICE void add(Run z, bool is_patch, Run away, Run unit) {
    Run t = (z - top) * unit;
    if (t < kFloor) t = kFloor;
    const Run p = power_of_two(t), of_patch = is_patch ? p : Run(0);
    patch += of_patch;
    other += is_patch ? Run(0) : p;
    distance += of_patch * away;
    weighted += p * t;
  }

  VP_DEVICE void merge(QuerySums more, Run unit) {
    if (more.top > top) {
      move_to(more.top, unit);
    } else {
      more.move_to(top, unit);
    }
    patch += more.patch;
    other += more.other;
    distance += more.distance;
    weighted += more.weighted;
  }
};

// What is summed over queries, before it becomes the statistics of that order.
enum Statistic { kDistanceRaw, kDistance, kMass, kEntropy, kLeftOut, kStatistics };

template <int count> VP_DEVICE inline double sum_of(const double* values) {
  double sum = 0.0;
  VP_UNROLL_4
  for (int i = 0; i < count; ++i) sum += values[i];
  return sum;
}

template <typename Run, int queries> struct QueryValues {
  static constexpr int kParts = 16;  // of the queries, each summed by a thread

  Run of[kStatistics][queries];
  double parts[kStatistics][kParts];

  // A query that no key is left for has attention 0 to all.
  VP_DEVICE void put(int query, const QuerySums<Run>& sums) {
    const Run s = sums.patch + sums.other;
    const bool empty = s == 0;
    const Run mass = empty ? Run(0) : sums.patch / s;
    const bool left_out = mass == 0;
    of[kDistanceRaw][query] = empty ? Run(0) : sums.distance / s;
    of[kDistance][query] = left_out ? Run(0) : sums.distance / sums.patch;
    of[kMass][query] = mass;
    of[kEntropy][query] =
        empty ? Run(0) : static_cast<Run>(kLn2) * (std::log2(s) - sums.weighted / s);
    of[kLeftOut][query] = left_out ? Run(1) : Run(0);
  }

  // out[kStatistics] = sums over the first `count` queries.
  template <class Block> VP_DEVICE void sum(Block block, int64_t count, double* out) {
    block.each_thread([&](int thread) {
      if (thread >= kStatistics * kParts) return;
      const int statistic = thread / kParts, part = thread % kParts;
      double total = 0.0;
      for (int query = part; query < queries && query < count; query += kParts) {
        total += static_cast<double>(of[statistic][query]);
      }
      parts[statistic][part] = total;
    });
    block.each_thread([&](int thread) {
      if (thread < kStatistics) out[thread] = sum_of<kParts>(parts[thread]);
    });
  }
};

// Doubles of workspace: kStatistics of each block of that many queries.
inline int64_t attention_partials(const AttentionShape& shape, int queries) {
  return shape.pairs() * ceil_div(shape.patches(), queries) * kStatistics;
}

// One statistic of an image and head, from its sum over the queries; 0 / 0: NaN.
VP_DEVICE inline double mean_of_queries(int statistic, double sum, double left_out,
                                        int64_t patches) {
  if (statistic == kLeftOut) return sum;
  const auto all = static_cast<double>(patches);
  return sum / (statistic == kDistance ? all - left_out : all);
}

// A warp's threads add the sums of an image and head's blocks, each every 32nd.
template <typename Out> struct MeanOfQueries {
  static constexpr int kPairs = 8, kParts = kThreads / kPairs;
  struct Shared {
    double parts[kPairs][kStatistics][kParts];
    double sums[kPairs][kStatistics];
  };

  AttentionShape shape;
  int64_t blocks;          // of an image and head
  const double* partials;  // (pairs, blocks, kStatistics)
  Out* out;                // (kStatistics, pairs)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    block.each_thread([&](int thread) {
      const int64_t pair = index * kPairs + thread / kParts;
      if (pair >= shape.pairs()) return;
      double totals[kStatistics] = {};
      for (int64_t i = thread % kParts; i < blocks; i += kParts) {
        VP_UNROLL
        for (int s = 0; s < kStatistics; ++s) {
          totals[s] += partials[(pair * blocks + i) * kStatistics + s];
        }
      }
      VP_UNROLL
      for (int s = 0; s < kStatistics; ++s) {
        shared.parts[thread / kParts][s][thread % kParts] = totals[s];
      }
    });
    block.each_thread([&](int thread) {
      const int own = thread / kStatistics, statistic = thread % kStatistics;
      if (own >= kPairs || index * kPairs + own >= shape.pairs()) return;
      shared.sums[own][statistic] = sum_of<kParts>(shared.parts[own][statistic]);
    });
    block.each_thread([&](int thread) {
      const int own = thread / kStatistics, statistic = thread % kStatistics;
      const int64_t pair = index * kPairs + own;
      if (own >= kPairs || pair >= shape.pairs()) return;
      const double* sums = shared.sums[own];
      out[statistic * shape.pairs() + pair] = static_cast<Out>(
          mean_of_queries(statistic, sums[statistic], sums[kLeftOut], shape.patches()));
    });
  }
};

template <typename Out, class Grid>
void mean_of_queries(Grid& grid, const AttentionShape& shape, int64_t blocks,
                     const double* partials, Out* out) {
  using Body = MeanOfQueries<Out>;
  grid.launch(ceil_div(shape.pairs(), Body::kPairs), Body{shape, blocks, partials, out});
}

}  // namespace vitprobe::kernels
