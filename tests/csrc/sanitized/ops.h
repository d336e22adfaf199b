// What cpu/product/parallel.h wants of ops.h, without torch: threads in turns.
#pragma once

#include <algorithm>
#include <cstdint>

static uint32_t threads = 1;  // that the work is cut for

namespace torch::stable {

inline uint32_t get_num_threads() { return threads; }

template <class Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  for (int64_t i = begin; i < end; i += grain) body(i, std::min(end, i + grain));
}

}  // namespace torch::stable
