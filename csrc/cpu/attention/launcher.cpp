// attention_statistics on the CPU.
#include <cmath>
#include <memory>
#include <optional>
#include <tuple>

#include "cpu/attention/rows.h"
#include "ops.h"

namespace vitprobe {
namespace {

// With neighbouring numbers along the last dimension; any strides of the others.
Tensor with_dense_rows(const Tensor& x) {
  return x.size(3) == 1 || x.stride(3) == 1 ? x : torch::stable::contiguous(x);
}

void copy_strides(const Tensor& from, int64_t count, int64_t* to) {
  for (int64_t d = 0; d < count; ++d) to[d] = from.stride(d);
}

// (rows, 2 columns - 1): distances of patches y rows and x - columns + 1 columns apart.
template <class T>
std::vector<T> distances(int64_t rows, int64_t columns, double height, double width) {
  std::vector<T> all;
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 1 - columns; x < columns; ++x) {
      all.push_back(static_cast<T>(std::hypot(y * height, x * width)));
    }
  }
  return all;
}

// out (5, images x heads): see AttentionStatistics in vitprobe/ops/attention.py.
template <class T>
void means(const AttentionInput& input, int64_t shares, const AttentionSums* sums, T* out) {
  const int64_t heads = input.images * input.heads;
  const auto patches = static_cast<double>(input.patches());
  for (int64_t head = 0; head < heads; ++head, sums += shares) {
    AttentionSums all = {};
    for (int64_t s = 0; s < shares; ++s) {  // in order, whoever computed them
      all.distance_raw += sums[s].distance_raw;
      all.distance += sums[s].distance;
      all.mass += sums[s].mass;
      all.entropy += sums[s].entropy;
      all.left_out += sums[s].left_out;
    }
    const auto left_out = static_cast<double>(all.left_out);
    const double five[] = {all.distance_raw / patches, all.distance / (patches - left_out),
                           all.mass / patches, all.entropy / patches, left_out};
    for (int64_t i = 0; i < 5; ++i) out[i * heads + head] = static_cast<T>(five[i]);
  }
}

constexpr int64_t kLeastProducts = int64_t{1} << 20;  // that pay for a thread

template <class T> void statistics(AttentionInput& input, double height, double width, T* out) {
  const std::vector<T> table = distances<T>(input.rows, input.columns, height, width);
  input.distances = table.data();
  const int64_t shares = attention_shares(input), tasks = input.images * input.heads * shares;
  const std::unique_ptr<AttentionSums[]> sums(new AttentionSums[tasks]);
  const int64_t products = input.patches() * input.tokens * input.depth / shares;
  torch::stable::parallel_for(0, tasks, kLeastProducts / products + 1,
                              [&](int64_t begin, int64_t end) {
                                attention_rows().run(input, shares, {begin, end}, sums.get());
                              });
  means(input, shares, sums.get(), out);
}

std::tuple<Tensor, Tensor> attention_statistics(const Tensor& q, const Tensor& k, double scale,
                                                int64_t rows, int64_t columns, int64_t prefix,
                                                std::optional<Tensor> bias, double height,
                                                double width, bool class_row) {
  check_attention(q, k, rows, columns, prefix, bias);
  const ScalarType type = wide_type(q.scalar_type());

  const Tensor queries = with_dense_rows(q), keys = with_dense_rows(k);
  AttentionInput input = {};
  input.q = queries.const_data_ptr();
  input.k = keys.const_data_ptr();
  input.type = element_of(q.scalar_type());
  input.images = q.size(0);
  input.heads = q.size(1);
  input.key_heads = k.size(1);
  input.tokens = q.size(2);
  input.depth = q.size(3);
  copy_strides(queries, 3, input.q_stride);
  copy_strides(keys, 3, input.k_stride);
  input.scale = scale;
  input.rows = rows;
  input.columns = columns;
  input.prefix = prefix;
  if (bias.has_value()) {
    input.bias = bias->const_data_ptr();
    copy_strides(*bias, 4, input.bias_stride);
  }

  Tensor out = torch::stable::new_empty(q, {5, input.images, input.heads}, type);
  Tensor row = class_row
                   ? torch::stable::new_empty(q, {input.images, input.heads, input.tokens}, type)
                   : torch::stable::new_empty(q, {0}, type);
  if (class_row) input.class_row = row.mutable_data_ptr();
  with_type<float, double>(element_of(type), [&](auto element) {
    statistics(input, height, width, out.mutable_data_ptr<decltype(element)>());
  });
  return {out, row};
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CPU, m) {
  m.impl("attention_statistics", TORCH_BOX(&vitprobe::attention_statistics));
}
