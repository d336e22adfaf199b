// hsic_accumulate_ on the CPU: acc (La, Lb) += a (La, m) b (Lb, m)^T.
#include "cpu/launcher.h"

namespace vitprobe {
namespace {

void hsic_accumulate(Tensor acc, const Tensor& a, const Tensor& b) {
  const Layers layers = layers_of(acc, a, b);
  if (layers.empty()) return;
  double* sums = static_cast<double*>(acc.mutable_data_ptr());
  const int64_t row = acc.stride(0), column = acc.stride(1);
  multiply({row_set(layers.a), row_set(layers.b), layers.same, false},
           [=, same = layers.same](int64_t i, int64_t j, int64_t columns, const double* values) {
             for (int64_t c = 0; c < columns; ++c) {
               sums[i * row + (j + c) * column] += values[c];
               if (same && j + c < i) sums[(j + c) * row + i * column] += values[c];
             }
           });
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CPU, m) {
  m.impl("hsic_accumulate_", TORCH_BOX(&vitprobe::hsic_accumulate));
}
