// attention_statistics on CUDA, simple and fast: check, allocate, launch (cuda/attention/simple.h,
// fast.h, class_row.h). What the fast kernel does not take, the simple one does.
//
// Workspace: 40 bytes for every 64 queries of an image and head (simple); of the fast kernel as
// much for every block, if an image and head has several.
#include <optional>
#include <tuple>

#include "cuda/launcher.h"
#include "cuda/attention/simple.h"
#include "cuda/attention/fast.h"

namespace vitprobe {
namespace {

using kernels::AnyHeads;
using kernels::AttentionShape;

AnyHeads heads(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 4, "four dimensions expected, got ", x.dim());
  const auto strides = x.strides();
  return {x.const_data_ptr(), {strides[0], strides[1], strides[2], strides[3]}};
}

AttentionShape shape_of(const Tensor& q, const Tensor& k, double scale, int64_t rows,
                        int64_t columns, int64_t prefix, double height, double width) {
  STD_TORCH_CHECK(q.dim() == 4 && k.dim() == 4, "q and k must have four dimensions");
  STD_TORCH_CHECK(
      q.scalar_type() == k.scalar_type() && q.get_device_index() == k.get_device_index(),
      "q and k must be of one type, on one device");
  const AttentionShape shape{q.size(0), q.size(1), k.size(1), q.size(2), q.size(3), rows,
                             columns,   prefix,    scale,     height,    width};
  STD_TORCH_CHECK(q.numel() > 0 && k.size(0) == shape.images && k.size(2) == shape.tokens &&
                      k.size(3) == shape.depth && shape.key_heads > 0 &&
                      shape.heads % shape.key_heads == 0,
                  "q and k must be (B, H, T, D) and (B, Hk, T, D), H a multiple of Hk");
  STD_TORCH_CHECK(
      rows > 0 && columns > 0 && prefix >= 0 && prefix + shape.patches() == shape.tokens,
      "the grid is not that of the tokens");
  return shape;
}

AnyHeads bias_of(const std::optional<Tensor>& bias, const AttentionShape& shape, const Tensor& q) {
  if (!bias.has_value()) return {nullptr, {0, 0, 0, 0}};
  const AnyHeads found = heads(*bias);
  STD_TORCH_CHECK(bias->scalar_type() == wide_type(q.scalar_type()) &&
                      bias->get_device_index() == q.get_device_index() &&
                      bias->size(0) == shape.images && bias->size(1) == shape.heads &&
                      bias->size(2) == shape.tokens && bias->size(3) == shape.tokens,
                  "bias must be (B, H, T, T), float32, or float64 for float64");
  return found;
}

std::tuple<Tensor, Tensor> statistics(const Tensor& q, const Tensor& k, const AttentionShape& shape,
                                      const std::optional<Tensor>& bias, bool class_row,
                                      bool fast) {
  const OnDeviceOf device(q);
  const ScalarType type = q.scalar_type(), wide = wide_type(type);
  const AnyHeads left = heads(q), right = heads(k), added = bias_of(bias, shape, q);
  const bool half = type == ScalarType::BFloat16 || type == ScalarType::Half;
  fast = fast && half && kernels::fits_matrix_unit(shape, left, right);
  constexpr int kSimple = kernels::AttentionQueries<float>::kQueries;
  const int64_t num_sms = fast ? sm_count(q) : 0;
  const Tensor partials = workspace(q, fast ? kernels::fast_partials(shape, num_sms)
                                            : kernels::attention_partials(shape, kSimple));
  Tensor out = torch::stable::new_empty(q, {kernels::kStatistics, shape.images, shape.heads}, wide);
  if (fast) {
    check_launch(kernels::launch_attention_fast(
        shape, left, right, element_of(type), added, num_sms, doubles(partials),
        static_cast<float*>(out.mutable_data_ptr()), device.stream()));
  } else {
    check_launch(kernels::launch_attention(shape, left, right, element_of(type), added,
                                           doubles(partials), out.mutable_data_ptr(),
                                           device.stream()));
  }
  if (!class_row) return {out, workspace(q, 0, wide)};
  Tensor row = torch::stable::new_empty(q, {shape.images, shape.heads, shape.tokens}, wide);
  check_launch(kernels::launch_class_row(shape, left, right, element_of(type), added,
                                         row.mutable_data_ptr(), device.stream()));
  return {out, row};
}

std::tuple<Tensor, Tensor> attention_statistics(const Tensor& q, const Tensor& k, double scale,
                                                int64_t rows, int64_t columns, int64_t prefix,
                                                const std::optional<Tensor>& bias, double height,
                                                double width, bool class_row) {
  const AttentionShape shape = shape_of(q, k, scale, rows, columns, prefix, height, width);
  return statistics(q, k, shape, bias, class_row, false);
}

std::tuple<Tensor, Tensor> attention_statistics_fast(const Tensor& q, const Tensor& k, double scale,
                                                     int64_t rows, int64_t columns, int64_t prefix,
                                                     const std::optional<Tensor>& bias,
                                                     double height, double width, bool class_row) {
  const AttentionShape shape = shape_of(q, k, scale, rows, columns, prefix, height, width);
  return statistics(q, k, shape, bias, class_row, true);
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("attention_statistics", TORCH_BOX(&vitprobe::attention_statistics));
  m.impl("attention_statistics_fast", TORCH_BOX(&vitprobe::attention_statistics_fast));
}
