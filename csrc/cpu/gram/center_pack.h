// Centring a packed Gram matrix on the CPU, in fp64. Input: K, symmetric n x n, its lower triangle
// with diagonal packed row by row.
//
//   unbiased  sqrt(2) (K_ij - r_i/(n-2) - r_j/(n-2) + s/((n-1)(n-2))), j < i; r and s over
//             off-diagonal elements only (Szekely & Rizzo 2014): <v, w> = n(n-3) HSIC_1
//   biased    (H K H)_ij, j <= i, times sqrt(2) off the diagonal: <v, w> = tr(K H L H)
#pragma once

#include <cstdint>
#include <vector>

#include "common/packed.h"

namespace vitprobe {

// What centring adds to element (i, j): total - mean[i] - mean[j].
struct Centring {
  std::vector<double> mean;  // sums of the rows, divided
  double total = 0.0;

  template <class In> Centring(const In* gram, int64_t n, bool biased) : mean(n, 0.0) {
    for (int64_t i = 0; i < n; ++i) {
      const In* row = gram + packed_index(i, 0, true);
      double sum = 0.0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < i; ++j) {
        sum += row[j];
        mean[j] += row[j];
      }
      mean[i] += biased ? sum + row[i] : sum;
    }
    for (int64_t i = 0; i < n; ++i) total += mean[i];
    const double divisor = biased ? n : n - 2;
    total /= biased ? static_cast<double>(n) * n : (n - 1.0) * (n - 2.0);
    for (double& m : mean) m /= divisor;
  }

  // to[j] = root times the centred row[j], for j < i, and row i's own element as it is.
  template <class In, class Out>
  void row(int64_t i, const In* from, double root, bool diagonal, Out* to) const {
    const double constant = total - mean[i];
    for (int64_t j = 0; j < i; ++j) {
      to[j] = static_cast<Out>(root * (from[j] + (constant - mean[j])));
    }
    if (diagonal) to[i] = static_cast<Out>(from[i] + (constant - mean[i]));
  }
};

template <class In, class Out> void center_pack(const In* gram, int64_t n, bool biased, Out* out) {
  const Centring centring(gram, n, biased);
  for (int64_t i = 0; i < n; ++i) {
    centring.row(i, gram + packed_index(i, 0, true), sqrt(2.0), biased,
                 out + packed_index(i, 0, biased));
  }
}

// The Gram matrix of x less its column mean, from that of x less any one vector.
template <class Out> void subtract_mean(const double* gram, int64_t n, Out* out) {
  const Centring centring(gram, n, true);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t first = packed_index(i, 0, true);
    centring.row(i, gram + first, 1.0, true, out + first);
  }
}

}  // namespace vitprobe
