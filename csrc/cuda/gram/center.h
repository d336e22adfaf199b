// Packed Gram matrices, centred and packed again, so that a dot product of two results is HSIC.
//
//   gram: (sites, n(n+1)/2) floats or doubles, lower triangles with diagonal (common/packed.h)
//
//   unbiased  n(n-1)/2: sqrt(2) K~_ij, j < i   (U-centring: Szekely & Rizzo 2014)
//             K~_ij = K_ij - (r_i + r_j) / (n-2) + s / ((n-1)(n-2)),  r, s without the diagonal
//             <v, w> = n(n-3) HSIC_1
//   biased    n(n+1)/2: (H K H)_ij, times sqrt(2) off the diagonal, H = I - 1/n
//             (H K H)_ij = K_ij - (r_i + r_j) / n + s / n^2,  r, s with the diagonal
//             <v, w> = tr(K H L H)
//
// All sums and the centring itself in fp64. Two bodies in order, each a block per row of a site:
// RowSums, CenterRow (which adds up the n row sums again: cheaper than a launch for it). Memory
// floor: one read of the Gram and one write of the result; here it is read three times, once of
// them down its columns.
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

// One double of each thread, added pairwise in a fixed order.
struct BlockSum {
  double parts[kThreads];

  template <class Block> VP_DEVICE void reduce(Block block) {  // leaves the sum in parts[0]
    for (int half = kThreads / 2; half > 0; half /= 2) {
      block.each_thread([&](int thread) {
        if (thread < half) parts[thread] += parts[thread + half];
      });
    }
  }
};

// Block `index`: sums[index], the sum of row index % n of the symmetric matrix index / n.
template <typename In> struct RowSums {
  using Shared = BlockSum;

  const In* gram;
  int64_t n;
  bool diagonal;  // counted?
  double* sums;   // (sites, n)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t i = index % n;
    const In* own = gram + index / n * packed_size(n, true);
    block.each_thread([&](int thread) {
      double sum = 0.0;
      for (int64_t j = thread; j < n; j += kThreads) {
        if (j == i && !diagonal) continue;
        sum +=
            static_cast<double>(own[j <= i ? packed_index(i, j, true) : packed_index(j, i, true)]);
      }
      shared.parts[thread] = sum;
    });
    shared.reduce(block);
    block.each_thread([&](int thread) {
      if (thread == 0) sums[index] = shared.parts[0];
    });
  }
};

// Block `index`: row index % n of the result index / n.
template <typename In, typename Out> struct CenterRow {
  using Shared = BlockSum;
  static constexpr double kRoot2 = 1.41421356237309504880;

  const In* gram;
  int64_t n;
  bool biased;
  const double* sums;  // (sites, n)
  Out* out;            // (sites, packed_size(n, biased))

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int64_t site = index / n, i = index % n;
    const In* own = gram + site * packed_size(n, true);
    const double* row_sums = sums + site * n;
    Out* to = out + site * packed_size(n, biased);
    block.each_thread([&](int thread) {
      double sum = 0.0;
      for (int64_t j = thread; j < n; j += kThreads) sum += row_sums[j];
      shared.parts[thread] = sum;
    });
    shared.reduce(block);
    const double rows = static_cast<double>(biased ? n : n - 2);
    const double all = rows * static_cast<double>(biased ? n : n - 1);
    block.each_thread([&](int thread) {
      const double total = shared.parts[0] / all;
      for (int64_t j = thread; j < i + (biased ? 1 : 0); j += kThreads) {
        const double k = static_cast<double>(own[packed_index(i, j, true)]);
        const double centred = k - (row_sums[i] + row_sums[j]) / rows + total;
        to[packed_index(i, j, biased)] = static_cast<Out>(j == i ? centred : kRoot2 * centred);
      }
    });
  }
};

// Workspace: sums (sites, n).
template <class Grid, typename In, typename Out>
void center_pack(Grid& grid, const In* gram, int64_t sites, int64_t n, bool biased, double* sums,
                 Out* out) {
  grid.launch(sites * n, RowSums<In>{gram, n, biased, sums});
  grid.launch(sites * n, CenterRow<In, Out>{gram, n, biased, sums, out});
}

}  // namespace vitprobe::kernels
