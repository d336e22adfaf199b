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

template <class In, class Out> void center_pack(const In* gram, int64_t n, bool biased, Out* out) {
  std::vector<double> mean(n, 0.0);
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
  double total = 0.0;
  for (int64_t i = 0; i < n; ++i) total += mean[i];
  const double divisor = biased ? n : n - 2;
  total /= biased ? static_cast<double>(n) * n : (n - 1.0) * (n - 2.0);
  for (double& m : mean) m /= divisor;

  const double root = sqrt(2.0);
  for (int64_t i = 0; i < n; ++i) {
    const In* row = gram + packed_index(i, 0, true);
    Out* to = out + packed_index(i, 0, biased);
    const double constant = total - mean[i];
    for (int64_t j = 0; j < i; ++j) {
      to[j] = static_cast<Out>(root * (row[j] + (constant - mean[j])));
    }
    if (biased) to[i] = static_cast<Out>(row[i] + (constant - mean[i]));
  }
}

}  // namespace vitprobe
