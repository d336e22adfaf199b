// Runs kernel bodies (cuda/device/thread_block.h) on the host: one block after the other, its
// threads one after the other between barriers. For tests: slow, but every index is computed as on
// the GPU.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

struct HostBlock {
  const std::vector<int>& order;  // a permutation of the threads

  template <typename T> class PerThread {
   public:
    PerThread() : values_(kThreads) {}
    explicit PerThread(const HostBlock&) : PerThread() {}
    T& operator[](int thread) { return values_[thread]; }
    const T& operator[](int thread) const { return values_[thread]; }

   private:
    std::vector<T> values_;
  };

  template <class Phase> void each_thread(const Phase& phase) const {
    for (const int thread : order) phase(thread);
  }
};

struct HostGrid {
  std::vector<int> order;
  int launches = 0;

  template <class Body> void launch(int64_t blocks, const Body& body) {
    using Shared = typename Body::Shared;
    const auto shared = std::make_unique<Shared>();
    ++launches;
    for (int64_t index = 0; index < blocks; ++index) {
      std::memset(shared.get(), 0xff, sizeof(Shared));  // NaN: nothing may be read unwritten
      body(HostBlock{order}, *shared, index);
    }
  }
};

}  // namespace vitprobe::kernels
