// The lower triangle of a symmetric n x n matrix, packed row by row into one vector.
//
//   with diagonal     (i, j <= i) at i(i+1)/2 + j     n(n+1)/2 elements     Gram, biased HSIC
//   without diagonal  (i, j <  i) at i(i-1)/2 + j     n(n-1)/2 elements     unbiased HSIC
//
// Row i without the diagonal lies where row i - 1 with the diagonal would.
#pragma once

#include <math.h>

#include <cstdint>

#include "common/host_device.h"

namespace vitprobe {

struct Coordinate {
  int64_t row, col;
};

VP_HD inline int64_t packed_size(int64_t n, bool diagonal) {
  return diagonal ? n * (n + 1) / 2 : n * (n - 1) / 2;
}

// Where element (i, j) lies; j <= i, or j < i without the diagonal.
VP_HD inline int64_t packed_index(int64_t i, int64_t j, bool diagonal) {
  return packed_size(i, diagonal) + j;
}

// The inverse of packed_index, exact for every 0 <= k < 2^61: the square root only guesses the
// row, to within one at the far end, and integers settle it.
VP_HD inline Coordinate packed_coordinate(int64_t k, bool diagonal) {
  int64_t row = static_cast<int64_t>((sqrt(8.0 * static_cast<double>(k) + 1.0) - 1.0) / 2.0);
  while (packed_size(row, true) > k) --row;
  while (packed_size(row + 1, true) <= k) ++row;
  return {diagonal ? row : row + 1, k - packed_size(row, true)};
}

}  // namespace vitprobe
