// Centring a Gram matrix K, symmetric n x n, so that a dot product of two results is HSIC.
//
//   unbiased  n(n-1)/2: sqrt(2) K~_ij, j < i   (U-centring: Szekely & Rizzo 2014)
//             K~_ij = K_ij - (r_i + r_j) / (n-2) + s / ((n-1)(n-2)),  r, s without the diagonal
//             <v, w> = n(n-3) HSIC_1
//   biased    n(n+1)/2: (H K H)_ij, times sqrt(2) off the diagonal, H = I - 1/n
//             (H K H)_ij = K_ij - (r_i + r_j) / n + s / n^2,  r, s with the diagonal
//             <v, w> = tr(K H L H)
//
// r_i is the sum of row i, s that of all; all of it in fp64. How the sums are formed is each
// machine's own: cpu/gram/center_pack.h in one walk, cuda/gram/center.h by tiles.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace vitprobe {

constexpr double kRoot2 = 1.41421356237309504880;

// What r_i is multiplied by for mean_i, which is subtracted, and s for the total, which is added.
VP_HD inline double weight_of_row(int64_t n, bool biased) {
  return 1.0 / static_cast<double>(biased ? n : n - 2);
}
VP_HD inline double weight_of_all(int64_t n, bool biased, double of_row) {
  return of_row / static_cast<double>(biased ? n : n - 1);
}

// Element (i, j), left: total - mean_i.
VP_HD inline double centred(double k, double left, double mean_j) { return k + (left - mean_j); }

}  // namespace vitprobe
