// Runs bodies that work by warps (cuda/device/warps.h) on the host. For tests.
//
//   ldmatrix  what the PTX manual says; counts accesses that meet in one bank
//   mma       as the matrix unit: all addends of one element aligned to the largest and cut to 24
//             bits, their sum cut to a float. Cut, never rounded: no GPU is worse.
//   copies    arrive at once (eager), or no sooner than their wait demands: both must do
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <type_traits>
#include <vector>

#include "cuda/device/mma.h"
#include "cuda/device/warps.h"
#include "host/host_grid.h"

namespace vitprobe::kernels {

struct HostState {
  struct Copy {
    void* to;
    const void* from;
    int size, bytes;

    void run() const {
      std::memset(to, 0, size);
      std::memcpy(to, from, bytes);
    }
  };

  bool eager;
  int64_t loads = 0, conflicts = 0;  // of ldmatrix: groups of eight rows; those with a conflict
  int64_t misaligned = 0;
  std::vector<std::deque<std::vector<Copy>>> groups = {};  // of every thread; the last one is open

  void reset() { groups.assign(kThreads, {1, std::vector<Copy>{}}); }
};

inline double cut_to(double value, int exponent) {  // toward zero, to a multiple of 2^exponent
  return std::ldexp(std::trunc(std::ldexp(value, -exponent)), exponent);
}

inline float cut_sum(const double* addends, int count) {
  double largest = 0.0, whole = 0.0;
  for (int i = 0; i < count; ++i) {
    whole += addends[i];
    largest = std::fmax(largest, std::fabs(addends[i]));
  }
  if (!std::isfinite(whole)) return static_cast<float>(whole);
  if (largest == 0.0) return 0.0f;
  const int exponent = std::ilogb(largest) - 23;
  const double scale = std::ldexp(1.0, exponent), back = std::ldexp(1.0, -exponent);
  double sum = 0.0;
  for (int i = 0; i < count; ++i) sum += std::trunc(addends[i] * back) * scale;
  if (sum == 0.0) return 0.0f;
  const int step = std::max(std::ilogb(sum), -126) - 23;
  return static_cast<float>(cut_to(sum, step));
}

struct HostWarps : HostBlock {
  HostState& state;

  template <class Phase> void each_warp(const Phase& phase) const {
    for (const int thread : order) {
      if (thread % kWarpSize == 0) phase(thread / kWarpSize);
    }
  }
  template <class Phase> void each_lane(int warp, const Phase& phase) const {
    const int flip = order.front() % kWarpSize;
    for (int lane = 0; lane < kWarpSize; ++lane) phase(warp * kWarpSize + (lane ^ flip));
  }
  void sync_warp() const {}

  template <class Row>
  void ldmatrix(int warp, PerThread<OperandFragment>& out, const Row& row) const {
    load_matrices(warp, row, [&](int lane, int matrix, const unsigned char (*rows)[kUnit]) {
      std::memcpy(&out[warp * kWarpSize + lane].at[matrix], rows[lane / 4] + lane % 4 * 4, 4);
    });
  }
  template <class Row>
  void ldmatrix_transposed(int warp, PerThread<OperandFragment>& out, const Row& row) const {
    load_matrices(warp, row, [&](int lane, int matrix, const unsigned char (*rows)[kUnit]) {
      unsigned char* own =
          reinterpret_cast<unsigned char*>(&out[warp * kWarpSize + lane].at[matrix]);
      for (int half = 0; half < 2; ++half) {
        std::memcpy(own + 2 * half, rows[lane % 4 * 2 + half] + lane / 4 * 2, 2);
      }
    });
  }

  template <typename T>
  void mma(int warp, PerThread<AccumulatorFragment>& d, const PerThread<AccumulatorFragment>& c,
           const PerThread<OperandFragment>& a, const PerThread<OperandFragment>& b,
           int which) const {
    constexpr int kElements = 4 / sizeof(T), kDepth = kStepBytes / sizeof(T);
    double left[16][kDepth], right[8][kDepth];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int thread = warp * kWarpSize + lane;
      for (int r = 0; r < 4; ++r) unpack<T, kElements>(a[thread].at[r], a_place(lane, r), left);
      for (int r = 0; r < 2; ++r) {
        unpack<T, kElements>(b[thread].at[2 * which + r], b_place(lane, r), right);
      }
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const int thread = warp * kWarpSize + lane;
      for (int r = 0; r < 4; ++r) {
        const Place at = c_place(lane, r);
        double addends[kDepth + 1] = {c[thread].at[r]};
        for (int k = 0; k < kDepth; ++k) addends[k + 1] = left[at.row][k] * right[at.at][k];
        d[thread].at[r] = cut_sum(addends, kDepth + 1);
      }
    }
  }

  template <class Value> void swap(int warp, int mask, const Value& value) const {
    spread(warp, value, [mask](int lane) { return lane ^ mask; });
  }

  template <class Value, class Source>
  void spread(int warp, const Value& value, const Source& source) const {
    std::decay_t<decltype(value(0))> values[kWarpSize];
    for (int lane = 0; lane < kWarpSize; ++lane) values[lane] = value(warp * kWarpSize + lane);
    for (int lane = 0; lane < kWarpSize; ++lane) {
      value(warp * kWarpSize + lane) = values[source(lane)];
    }
  }

  template <class Predicate> bool any(int warp, const Predicate& predicate) const {
    bool some = false;
    for (int lane = 0; lane < kWarpSize; ++lane) some |= predicate(warp * kWarpSize + lane);
    return some;
  }

  void copy_if(bool wanted, int thread, void* to, const void* from) const {
    if (wanted) copy<16>(thread, to, from, 16);
  }
  template <int kBytes> void copy(int thread, void* to, const void* from, int bytes) const {
    state.misaligned += reinterpret_cast<uintptr_t>(to) % kBytes != 0;
    state.misaligned += reinterpret_cast<uintptr_t>(from) % kBytes != 0;
    const HostState::Copy copy{to, from, kBytes, bytes};
    if (state.eager) {
      copy.run();
    } else {
      state.groups[thread].back().push_back(copy);
    }
  }
  void commit(int thread) const { state.groups[thread].emplace_back(); }
  template <int kGroups> void wait(int thread) const {
    auto& groups = state.groups[thread];  // the open one stays
    while (groups.size() > kGroups + 1) {
      for (const HostState::Copy& copy : groups.front()) copy.run();
      groups.pop_front();
    }
  }

 private:
  // take(lane, matrix, rows): what a lane takes of eight rows of one unit.
  template <class Row, class Take>
  void load_matrices(int warp, const Row& row, const Take& take) const {
    for (int matrix = 0; matrix < 4; ++matrix) {
      unsigned char rows[8][kUnit];
      int banks = 0;
      for (int i = 0; i < 8; ++i) {
        const void* from = row(warp * kWarpSize + matrix * 8 + i);
        const auto address = reinterpret_cast<uintptr_t>(from);
        std::memcpy(rows[i], from, kUnit);
        state.misaligned += address % kUnit != 0;
        banks |= 1 << address / kUnit % 8;
      }
      state.loads += 1;
      state.conflicts += banks != 0xff;
      for (int lane = 0; lane < kWarpSize; ++lane) take(lane, matrix, rows);
    }
  }

  template <typename T, int kElements, int kDepth>
  static void unpack(uint32_t bits, Place at, double (*rows)[kDepth]) {
    for (int e = 0; e < kElements; ++e) {
      T element;
      std::memcpy(&element, reinterpret_cast<const char*>(&bits) + e * sizeof(T), sizeof(T));
      rows[at.row][at.at / sizeof(T) + e] = widen(element);
    }
  }
};

struct HostWarpGrid : HostGrid {
  HostState state;

  template <class Body> void launch_warps(int64_t blocks, const Body& body) {
    using Shared = typename Body::Shared;
    const auto shared = std::make_unique<Shared>();
    ++launches;
    for (int64_t index = 0; index < blocks; ++index) {
      std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(Shared));
      state.reset();
      body(HostWarps{{order}, state}, *shared, index);
    }
  }
};

}  // namespace vitprobe::kernels
