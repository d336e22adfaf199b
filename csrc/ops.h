// What every launcher, CPU or CUDA, reads off its tensors before it calls a kernel.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include "common/element.h"

namespace vitprobe {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline Element element_of(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return Element::f32;
    case ScalarType::Double: return Element::f64;
    case ScalarType::BFloat16: return Element::bf16;
    case ScalarType::Half: return Element::f16;
    default: STD_TORCH_CHECK(false, "float32, float64, bfloat16 or float16 expected");
  }
}

// float64 for float64, else float32: what sums of such elements and results are stored in.
inline ScalarType wide_type(ScalarType type) {
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// n examples of p numbers each; example i is the `p` numbers at data + i * stride elements.
struct Rows {
  Tensor owner;
  const void* data;
  int64_t n, p, stride;
  ScalarType type;
};

// Whether every example x[i] fills one block of memory, each of its elements once, in any order.
inline bool examples_are_dense(const Tensor& x) {
  const auto sizes = x.sizes(), strides = x.strides();
  std::vector<std::array<int64_t, 2>> dims;  // (stride, size)
  for (size_t d = 1; d < sizes.size(); ++d) {
    if (sizes[d] != 1) dims.push_back({strides[d], sizes[d]});
  }
  std::sort(dims.begin(), dims.end());
  int64_t expected = 1;
  for (const auto& [stride, size] : dims) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

// The examples of x (n, ...) as rows. A Gram matrix does not change when the features of all
// examples are permuted alike, so a dense example is a row as it lies in memory, whatever its
// layout; anything else is copied once.
inline Rows rows_of(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() >= 1, "x must have an example dimension");
  const Tensor owner = examples_are_dense(x) ? x : torch::stable::contiguous(x);
  const int64_t n = owner.size(0);
  STD_TORCH_CHECK(n >= 4, "at least 4 examples are needed, got ", n);
  const int64_t p = owner.numel() / n;
  STD_TORCH_CHECK(p >= 1, "examples must have at least 1 feature");
  return {owner, owner.const_data_ptr(), n, p, owner.stride(0), owner.scalar_type()};
}

// The same of activations of the same examples, in one type, on one device.
inline std::vector<Rows> rows_of_all(const std::vector<Tensor>& xs) {
  STD_TORCH_CHECK(!xs.empty(), "at least one tensor of activations is needed");
  std::vector<Rows> all;
  for (const Tensor& x : xs) {
    all.push_back(rows_of(x));
    STD_TORCH_CHECK(all.back().n == all[0].n && all.back().type == all[0].type &&
                        x.get_device_index() == xs[0].get_device_index(),
                    "all activations must be of the same examples, type and device");
  }
  return all;
}

// Row `index` of a new matrix (k, m) of float32 or float64.
inline void* row_of(const Tensor& matrix, int64_t index) {
  const int64_t size = matrix.scalar_type() == ScalarType::Double ? 8 : 4;
  return static_cast<char*>(matrix.mutable_data_ptr()) + index * matrix.stride(0) * size;
}

// A Gram matrix as it is given, without gaps.
inline Tensor packed_gram_of(const Tensor& gram) {
  STD_TORCH_CHECK(
      gram.scalar_type() == ScalarType::Float || gram.scalar_type() == ScalarType::Double,
      "a float32 or float64 Gram matrix expected");
  return torch::stable::contiguous(gram);
}

// The number of examples whose Gram matrix, packed with its diagonal, has this many elements.
inline int64_t examples_of_packed(int64_t size) {
  int64_t n = 0;
  while (n * (n + 1) / 2 < size) ++n;
  STD_TORCH_CHECK(n * (n + 1) / 2 == size && n >= 4,
                  "a packed Gram matrix has n(n+1)/2 elements with n >= 4, got ", size);
  return n;
}

}  // namespace vitprobe
