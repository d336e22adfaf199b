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
  struct Shared {
    Run own[kThreads], whole;  // first the largest score, then the sum
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
      Run top = Running<Run>::none().top;
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = score(image, head, key);
        if (row[key] > top) top = row[key];
      }
      shared.own[thread] = top;
    });
    block.each_thread([&](int thread) {
      if (thread != 0) return;
      shared.whole = shared.own[0];
      for (int i = 1; i < kThreads; ++i) {
        if (shared.own[i] > shared.whole) shared.whole = shared.own[i];
      }
    });
    block.each_thread([&](int thread) {
      Run sum = 0;
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = power_of_two((row[key] - shared.whole) * static_cast<Run>(kLog2E));
        sum += row[key];
      }
      shared.own[thread] = sum;
    });
    block.each_thread([&](int thread) {
      if (thread != 0) return;
      shared.whole = 0;
      for (int i = 0; i < kThreads; ++i) shared.whole += shared.own[i];
    });
    block.each_thread([&](int thread) {
      for (int64_t key = thread; key < shape.tokens; key += kThreads) {
        row[key] = shared.whole == 0 ? Run(0) : row[key] / shared.whole;
      }
    });
  }

 private:
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
