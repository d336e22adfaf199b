// attention_statistics on CUDA, simple and fast: check, allocate, launch (cuda/attention/simple.h,
// fast.h, class_row.h). What the fast kernel does not take, the simple one does.
//
// Workspace: 40 bytes for every 64 queries of an image and head (simple); of the fast kernel as
// much for every block, if an image and head has several.
#include <optional>
#include <tuple>

#include "cuda/attention/fast.h"
#include "cuda/attention/simple.h"
#include "cuda/launcher.h"

namespace vitprobe {
namespace {

using kernels::AnyHeads;
using kernels::AttentionShape;

AnyHeads heads(const Tensor& x) {
  const auto strides = x.strides();
  return {x.const_data_ptr(), {strides[0], strides[1], strides[2], strides[3]}};
}

std::tuple<Tensor, Tensor> statistics(const Tensor& q, const Tensor& k, double scale, int64_t rows,
                                      int64_t columns, int64_t prefix,
                                      const std::optional<Tensor>& bias, double height,
                                      double width, bool class_row, bool fast) {
  check_attention(q, k, rows, columns, prefix, bias);
  const AttentionShape shape{q.size(0), q.size(1), k.size(1), q.size(2), q.size(3), rows,
                             columns,   prefix,    scale,     height,    width};
  const OnDeviceOf device(q);
  const ScalarType type = q.scalar_type(), wide = wide_type(type);
  const Element element = element_of(type);
  const AnyHeads left = heads(q), right = heads(k);
  const AnyHeads added = bias.has_value() ? heads(*bias) : AnyHeads{};
  const bool half = type == ScalarType::BFloat16 || type == ScalarType::Half;
  fast = fast && half && kernels::fits_matrix_unit(shape, left, right);
  constexpr int kSimple = kernels::AttentionQueries<float>::kQueries;
  const int64_t num_sms = fast ? sm_count(q) : 0;
  const Tensor partials = workspace(q, fast ? kernels::fast_partials(shape, num_sms)
                                            : kernels::attention_partials(shape, kSimple));
  Tensor out = torch::stable::new_empty(q, {kernels::kStatistics, shape.images, shape.heads}, wide);
  if (fast) {
    check_launch(kernels::launch_attention_fast(shape, left, right, element, added, num_sms,
                                                doubles(partials), floats(out), device.stream()));
  } else {
    check_launch(kernels::launch_attention(shape, left, right, element, added, doubles(partials),
                                           out.mutable_data_ptr(), device.stream()));
  }
  if (!class_row) return {out, workspace(q, 0, wide)};
  Tensor row = torch::stable::new_empty(q, {shape.images, shape.heads, shape.tokens}, wide);
  check_launch(kernels::launch_class_row(shape, left, right, element, added, row.mutable_data_ptr(),
                                         device.stream()));
  return {out, row};
}

std::tuple<Tensor, Tensor> attention_statistics(const Tensor& q, const Tensor& k, double scale,
                                                int64_t rows, int64_t columns, int64_t prefix,
                                                const std::optional<Tensor>& bias, double height,
                                                double width, bool class_row) {
  return statistics(q, k, scale, rows, columns, prefix, bias, height, width, class_row, false);
}

std::tuple<Tensor, Tensor> attention_statistics_fast(const Tensor& q, const Tensor& k, double scale,
                                                     int64_t rows, int64_t columns, int64_t prefix,
                                                     const std::optional<Tensor>& bias,
                                                     double height, double width, bool class_row) {
  return statistics(q, k, scale, rows, columns, prefix, bias, height, width, class_row, true);
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("attention_statistics", TORCH_BOX(&vitprobe::attention_statistics));
  m.impl("attention_statistics_fast", TORCH_BOX(&vitprobe::attention_statistics_fast));
}
