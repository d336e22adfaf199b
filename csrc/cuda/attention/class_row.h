// The attention of token 0, the class token where there is one, to all keys: (B, H, T).
//
// One block to an image and head; a thread has every 256th key. Scores, then their exponentials,
// then attention stand in the result, each thread's in its own places.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/widen.h"
#include "cuda/attention/parts.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

template <typename T> struct ClassRow {
  using Run = Widened<T>;
  static constexpr int kParts = 16;
  struct Shared {
    Run own[kThreads], parts[kParts];  // first of the largest score, then of the sum
  };

  AttentionShape shape;
  Heads<T> q, k;
  Heads<Run> bias;
  Run* out;  // (pairs, tokens)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t image = index / shape.heads, head = index % shape.heads;
    Run* row = out + index * shape.tokens;
    block.each_thread([&](int thread) {
      Run top = QuerySums<Run>::none().top;
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = score(image, head, key);
        if (row[key] > top) top = row[key];
      }
      shared.own[thread] = top;
    });
    const auto larger = [](Run a, Run b) { return b > a ? b : a; };
    join(block, shared, larger);
    block.each_thread([&](int thread) {
      const Run top = joined(shared, larger);
      Run sum = 0;
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = power_of_two((row[key] - top) * static_cast<Run>(kLog2E));
        sum += row[key];
      }
      shared.own[thread] = sum;
    });
    const auto plus = [](Run a, Run b) { return a + b; };
    join(block, shared, plus);
    block.each_thread([&](int thread) {
      const Run sum = joined(shared, plus);
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = sum == 0 ? Run(0) : row[key] / sum;
      }
    });
  }

 private:
  // What the threads have, joined by a few of them; from these parts every thread has the whole.
  template <class Block, class Two>
  VP_DEVICE static void join(Block block, Shared& shared, const Two& two) {
    block.each_thread([&](int thread) {
      if (thread >= kParts) return;
      Run part = shared.own[thread];
      for (int i = thread + kParts; i < kThreads; i += kParts) part = two(part, shared.own[i]);
      shared.parts[thread] = part;
    });
  }
  template <class Two> VP_DEVICE static Run joined(const Shared& shared, const Two& two) {
    Run whole = shared.parts[0];
    for (int i = 1; i < kParts; ++i) whole = two(whole, shared.parts[i]);
    return whole;
  }

  VP_DEVICE Run score(int64_t image, int64_t head, int64_t key) const {
    const T* left = q.at(image, head, 0);
    const T* right = k.at(image, shape.key_head(head), key);
    Run sum = 0;
    for (int64_t d = 0; d < shape.depth; ++d) {
      sum += static_cast<Run>(widen(left[d * q.strides[3]])) *
             static_cast<Run>(widen(right[d * k.strides[3]]));
    }
    sum *= static_cast<Run>(shape.scale);
    return bias.data == nullptr ? sum : sum + bias.at(image, head, 0)[key * bias.strides[3]];
  }
};

template <typename T, class Grid>
void class_row(Grid& grid, const AttentionShape& shape, const Heads<T>& q, const Heads<T>& k,
               const Heads<Widened<T>>& bias, Widened<T>* out) {
  grid.launch(shape.pairs(), ClassRow<T>{shape, q, k, bias, out});
}

}  // namespace vitprobe::kernels
