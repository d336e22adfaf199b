// Attention statistics on the matrix unit: what simple.h computes, for bf16 and f16, in one pass
// over q and k.
//
// What a block does with up to 256 queries of an image and head is told in block.h, how keys reach
// it in keys.h, where distances come from in distance.h. An image and head of at most 256 patches,
// every ViT at 224 pixels, is one block's where there are many, and all is one launch; of larger
// ones MeanOfQueries adds the blocks' sums, in a fixed order.
//
// float has no such kernel: as 3xTF32 each score would take three products, q in two parts would
// not fit the registers, and TF32 alone keeps three digits of a score. The simple kernel's fused
// multiply-adds are exact enough; models that are in a hurry run in halves.
//
// Floor: the largest of 2 T^2 D operations on the matrix unit, T^2 exponentials at 16 a clock, and
// T^2 times what tests/sass.py counts for a score, at 128 a clock on a multiprocessor.
#pragma once

#include <cfloat>
#include <cstdint>
#include <type_traits>

#include "common/host_device.h"
#include "cuda/attention/block.h"
#include "cuda/attention/distance.h"
#include "cuda/attention/parts.h"
#include "cuda/device/mma.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kFastDepth = 128;
constexpr int kFastQueries = kWarps * 32;

// Whether the fast kernel takes it: rows of whole 16-byte units, aligned; a positive scale.
inline bool fits_matrix_unit(const AttentionShape& shape, const AnyHeads& q, const AnyHeads& k) {
  constexpr int64_t kHalves = kUnit / 2;
  for (const AnyHeads& x : {q, k}) {
    if (x.strides[3] != 1 || reinterpret_cast<uintptr_t>(x.data) % kUnit != 0) return false;
    for (int i = 0; i < 3; ++i) {
      if (x.strides[i] % kHalves != 0) return false;
    }
  }
  return shape.depth % kHalves == 0 && shape.depth <= kFastDepth && shape.tokens < (1 << 30) &&
         shape.scale > 0 && shape.scale < FLT_MAX;
}

// function(steps) with the fewest steps of 16 halves, of those that kernels are made for.
template <class Function> void with_steps(int64_t depth, const Function& function) {
  if (depth <= 32) {
    function(std::integral_constant<int, 2>{});
  } else if (depth <= 64) {
    function(std::integral_constant<int, 4>{});
  } else if (depth <= 96) {
    function(std::integral_constant<int, 6>{});
  } else {
    function(std::integral_constant<int, 8>{});
  }
}

// Warps that have the same queries and share the keys, as a power of two: where patches are so few
// that half of a block's warps would have none, or blocks that half of the GPU would. A block of
// half the queries takes more than half the instructions, so that more blocks than that do not pay.
inline int log_shares(const AttentionShape& shape, int64_t num_sms) {
  const int64_t blocks = shape.pairs() * ceil_div(shape.patches(), kFastQueries);
  if (4 * shape.patches() <= kFastQueries) return 2;
  return 2 * shape.patches() <= kFastQueries || 2 * blocks <= num_sms ? 1 : 0;
}

inline int64_t fast_partials(const AttentionShape& shape, int64_t num_sms) {
  const int queries = kFastQueries >> log_shares(shape, num_sms);
  return shape.patches() <= queries ? 0 : attention_partials(shape, queries);
}

// num_sms: the GPU's multiprocessors. Workspace: partials (fast_partials(shape, num_sms),).
template <typename T, class Grid>
void attention_fast(Grid& launcher, const AttentionShape& shape, const Heads<T>& q,
                    const Heads<T>& k, const Heads<float>& bias, int64_t num_sms, double* partials,
                    float* out) {
  const int shares = log_shares(shape, num_sms);
  const int64_t tiles = ceil_div(shape.patches(), kFastQueries >> shares);
  const FarGrid grid(shape);
  const GridStep by_stage(kStageKeys, grid.columns);
  const Divider by_tiles(tiles), by_heads(shape.heads);
  const Divider by_heads_of_key(shape.heads / shape.key_heads);
  const auto run = [&](auto far, auto with_bias) {
    constexpr bool biased = decltype(with_bias)::value;
    const auto scale = static_cast<float>(biased ? shape.scale : shape.scale * kLog2E);
    with_steps(shape.depth, [&](auto steps) {
      using Body = AttentionTile<T, decltype(steps)::value, decltype(far), biased>;
      static_assert(Body::kQueries == kFastQueries);
      launcher.launch_warps(shape.pairs() * tiles, Body{shape,
                                                        q,
                                                        k,
                                                        bias,
                                                        {grid, shares, scale},
                                                        by_stage,
                                                        shape.tokens * k.strides[2],
                                                        by_tiles,
                                                        by_heads,
                                                        by_heads_of_key,
                                                        partials,
                                                        out});
    });
  };
  if (bias.data != nullptr) {
    run(FarComputed{}, std::true_type{});
  } else if (FarPairs::fits(grid)) {
    run(FarPairs{}, std::false_type{});
  } else if (FarTable::fits(grid)) {
    run(FarTable{}, std::false_type{});
  } else {
    run(FarComputed{}, std::false_type{});
  }
  if (tiles > 1) mean_of_queries(launcher, shape, tiles, partials, out);
}

}  // namespace vitprobe::kernels
