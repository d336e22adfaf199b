// A matrix as the kernels see it: rows of neighbouring elements, any distance between rows.
#pragma once

#include <cstdint>

namespace vitprobe::kernels {

template <typename T> struct Matrix {
  const T* data;
  int64_t rows, columns;
  int64_t stride;  // elements from one row to the next
};
using AnyMatrix = Matrix<void>;

template <typename T> Matrix<T> typed(const AnyMatrix& x) {
  return {static_cast<const T*>(x.data), x.rows, x.columns, x.stride};
}

}  // namespace vitprobe::kernels
