// What every launcher, CPU or CUDA, reads off its tensors before it calls a kernel.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include "common/element.h"
#include "common/packed.h"

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

// A matrix's rows, with neighbouring numbers; any number of rows and numbers.
inline Rows rows_of_matrix(const Tensor& x) {
  const Tensor owner = x.stride(1) == 1 ? x : torch::stable::contiguous(x);
  return {owner,         owner.const_data_ptr(), owner.size(0),
          owner.size(1), owner.stride(0),        owner.scalar_type()};
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

// A new matrix (sites, m) for the centred vectors of activations.
inline Tensor new_vectors(const std::vector<Rows>& all, bool biased) {
  return torch::stable::new_empty(all[0].owner,
                                  {static_cast<int64_t>(all.size()), packed_size(all[0].n, biased)},
                                  wide_type(all[0].type));
}

// Row `index` of a new matrix (k, m) of float32 or float64.
inline void* row_of(const Tensor& matrix, int64_t index) {
  const int64_t size = matrix.scalar_type() == ScalarType::Double ? 8 : 4;
  return static_cast<char*>(matrix.mutable_data_ptr()) + index * matrix.stride(0) * size;
}

// Of hsic_accumulate_, acc (La, Lb) += a (La, m) b (Lb, m)^T: a and b, and whether they are one.
struct Layers {
  Rows a, b;
  bool same;

  bool empty() const { return a.n == 0 || b.n == 0 || a.p == 0; }
};

inline Layers layers_of(const Tensor& acc, const Tensor& a, const Tensor& b) {
  STD_TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && acc.dim() == 2, "matrices expected");
  STD_TORCH_CHECK(a.size(1) == b.size(1) && acc.size(0) == a.size(0) && acc.size(1) == b.size(0),
                  "shapes (La, Lb), (La, m), (Lb, m) expected");
  STD_TORCH_CHECK(acc.scalar_type() == ScalarType::Double, "acc must be float64");
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), "a and b must have the same type");
  const bool same = a.const_data_ptr() == b.const_data_ptr() && a.size(0) == b.size(0) &&
                    a.stride(0) == b.stride(0) && a.stride(1) == b.stride(1);
  const Rows left = rows_of_matrix(a);
  return {left, same ? left : rows_of_matrix(b), same};
}

// Of attention_statistics: q, k, the grid of patches behind a prefix, and the bias fit together.
inline void check_attention(const Tensor& q, const Tensor& k, int64_t rows, int64_t columns,
                            int64_t prefix, const std::optional<Tensor>& bias) {
  STD_TORCH_CHECK(q.dim() == 4 && k.dim() == 4, "q and k must have four dimensions");
  STD_TORCH_CHECK(
      q.scalar_type() == k.scalar_type() && q.get_device_index() == k.get_device_index(),
      "q and k must be of one type, on one device");
  STD_TORCH_CHECK(q.numel() > 0 && k.numel() > 0 && k.size(0) == q.size(0) &&
                      k.size(2) == q.size(2) && k.size(3) == q.size(3) &&
                      q.size(1) % k.size(1) == 0,
                  "q and k must be (B, H, T, D) and (B, Hk, T, D), H a multiple of Hk");
  STD_TORCH_CHECK(rows > 0 && columns > 0 && prefix >= 0 && prefix + rows * columns == q.size(2),
                  "the grid is not that of the tokens, which must be the prefix and the patches");
  if (!bias.has_value()) return;
  STD_TORCH_CHECK(bias->dim() == 4 && bias->scalar_type() == wide_type(q.scalar_type()) &&
                      bias->get_device_index() == q.get_device_index() &&
                      bias->size(0) == q.size(0) && bias->size(1) == q.size(1) &&
                      bias->size(2) == q.size(2) && bias->size(3) == q.size(2),
                  "bias must be (B, H, T, T), float32, or float64 for float64");
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
