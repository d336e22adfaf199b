// A packed Gram matrix, centred and packed again, so that a dot product of two results is HSIC.
//
//   gram: n(n+1)/2 floats or doubles, lower triangle with diagonal (packed.h)
//
//   unbiased  n(n-1)/2: sqrt(2) K~_ij, j < i   (U-centring: Szekely & Rizzo 2014)
//             K~_ij = K_ij - (r_i + r_j) / (n-2) + s / ((n-1)(n-2)),  r, s without the diagonal
//             <v, w> = n(n-3) HSIC_1
//   biased    n(n+1)/2: (H K H)_ij, times sqrt(2) off the diagonal, H = I - 1/n
//             (H K H)_ij = K_ij - (r_i + r_j) / n + s / n^2,  r, s with the diagonal
//             <v, w> = tr(K H L H)
//
// All sums and the centring itself in fp64. Three bodies in order: RowSums (a block per row),
// TotalSum (one block), CenterRow (a block per row). Memory floor: one read of the Gram and one
// write of the result; here it is read three times, once of them down its columns.
#pragma once

#include <cstdint>

#include "host_device.h"
#include "packed.h"
#include "thread_block.h"

namespace vitprobe::kernels {

// One double of each thread, added pairwise in a fixed order.
struct BlockSum {
  double parts[kThreads];

  template <class Block>
  VP_DEVICE void reduce(Block block) {  // leaves the sum in parts[0]
    for (int half = kThreads / 2; half > 0; half /= 2) {
      block.each_thread([&](int thread) {
        if (thread < half) parts[thread] += parts[thread + half];
      });
    }
  }
};

// Block `index`: sums[index], the sum of row `index` of the symmetric matrix.
template <typename In>
struct RowSums {
  using Shared = BlockSum;

  const In* gram;
  int64_t n;
  bool diagonal;  // counted?
  double* sums;   // (n,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    block.each_thread([&](int thread) {
      double sum = 0.0;
      for (int64_t j = thread; j < n; j += kThreads) {
        if (j == index && !diagonal) continue;
        const int64_t at = j <= index ? packed_index(index, j, true) : packed_index(j, index, true);
        sum += static_cast<double>(gram[at]);
      }
      shared.parts[thread] = sum;
    });
    shared.reduce(block);
    block.each_thread([&](int thread) {
      if (thread == 0) sums[index] = shared.parts[0];
    });
  }
};

// The only block: sums[n], the sum of sums[0..n).
struct TotalSum {
  using Shared = BlockSum;

  int64_t n;
  double* sums;  // (n + 1,)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t) const {
    block.each_thread([&](int thread) {
      double sum = 0.0;
      for (int64_t i = thread; i < n; i += kThreads) sum += sums[i];
      shared.parts[thread] = sum;
    });
    shared.reduce(block);
    block.each_thread([&](int thread) {
      if (thread == 0) sums[n] = shared.parts[0];
    });
  }
};

// Block `index`: row `index` of the result.
template <typename In, typename Out>
struct CenterRow {
  struct Shared {};
  static constexpr double kRoot2 = 1.41421356237309504880;

  const In* gram;
  int64_t n;
  bool biased;
  const double* sums;  // (n + 1,)
  Out* out;

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared&, int64_t index) const {
    const double rows = static_cast<double>(biased ? n : n - 2);
    const double all = rows * static_cast<double>(biased ? n : n - 1);
    const double total = sums[n] / all;
    block.each_thread([&](int thread) {
      for (int64_t j = thread; j < index + (biased ? 1 : 0); j += kThreads) {
        const double k = static_cast<double>(gram[packed_index(index, j, true)]);
        const double centred = k - (sums[index] + sums[j]) / rows + total;
        out[packed_index(index, j, biased)] =
            static_cast<Out>(j == index ? centred : kRoot2 * centred);
      }
    });
  }
};

// Workspace: sums (n + 1,).
template <class Grid, typename In, typename Out>
void center_pack(Grid& grid, const In* gram, int64_t n, bool biased, double* sums, Out* out) {
  grid.launch(n, RowSums<In>{gram, n, biased, sums});
  grid.launch(1, TotalSum{n, sums});
  grid.launch(n, CenterRow<In, Out>{gram, n, biased, sums, out});
}

}  // namespace vitprobe::kernels
