// Centring (common/centring.h) a packed Gram matrix on the CPU. Input: K, its lower triangle with
// diagonal packed row by row (common/packed.h).
#pragma once

#include <cstdint>
#include <vector>

#include "common/centring.h"
#include "common/packed.h"

namespace vitprobe {

// Of the rows, and of all.
struct Means {
  std::vector<double> of_row;
  double total = 0.0;

  template <class In> Means(const In* gram, int64_t n, bool biased) : of_row(n, 0.0) {
    for (int64_t i = 0; i < n; ++i) {
      const In* row = gram + packed_index(i, 0, true);
      double sum = 0.0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < i; ++j) {
        sum += row[j];
        of_row[j] += row[j];
      }
      of_row[i] += biased ? sum + row[i] : sum;
    }
    for (const double sum : of_row) total += sum;
    const double weight = weight_of_row(n, biased);
    total *= weight_of_all(n, biased, weight);
    for (double& sum : of_row) sum *= weight;
  }

  // to[j] = root times the centred row[j], for j < i, and row i's own element as it is.
  template <class In, class Out>
  void center(int64_t i, const In* from, double root, bool diagonal, Out* to) const {
    const double left = total - of_row[i];
    for (int64_t j = 0; j < i; ++j) {
      to[j] = static_cast<Out>(root * centred(from[j], left, of_row[j]));
    }
    if (diagonal) to[i] = static_cast<Out>(centred(from[i], left, of_row[i]));
  }
};

template <class In, class Out> void center_pack(const In* gram, int64_t n, bool biased, Out* out) {
  const Means means(gram, n, biased);
  for (int64_t i = 0; i < n; ++i) {
    means.center(i, gram + packed_index(i, 0, true), kRoot2, biased,
                 out + packed_index(i, 0, biased));
  }
}

// The Gram matrix of x less its column mean, from that of x less any one vector.
template <class Out> void subtract_mean(const double* gram, int64_t n, Out* out) {
  const Means means(gram, n, true);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t first = packed_index(i, 0, true);
    means.center(i, gram + first, 1.0, true, out + first);
  }
}

}  // namespace vitprobe
