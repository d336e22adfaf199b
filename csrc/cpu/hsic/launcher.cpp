// hsic_accumulate_ on the CPU: acc (La, Lb) += a (La, m) b (Lb, m)^T.
#include "cpu/product/parallel.h"

namespace vitprobe {
namespace {

RowSet row_set(const Tensor& x) {
  return {x.const_data_ptr(), x.size(0), x.size(1), x.stride(0), element_of(x.scalar_type())};
}

void hsic_accumulate(Tensor acc, const Tensor& a, const Tensor& b) {
  STD_TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && acc.dim() == 2, "matrices expected");
  STD_TORCH_CHECK(a.size(1) == b.size(1) && acc.size(0) == a.size(0) && acc.size(1) == b.size(0),
                  "shapes (La, Lb), (La, m), (Lb, m) expected");
  STD_TORCH_CHECK(acc.scalar_type() == ScalarType::Double, "acc must be float64");
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), "a and b must have the same type");
  if (a.size(0) == 0 || b.size(0) == 0 || a.size(1) == 0) return;
  const bool same = a.data_ptr() == b.data_ptr() && a.size(0) == b.size(0) &&
                    a.stride(0) == b.stride(0) && a.stride(1) == b.stride(1);
  const Tensor left = a.stride(1) == 1 ? a : torch::stable::contiguous(a);
  const Tensor right = same ? left : b.stride(1) == 1 ? b : torch::stable::contiguous(b);

  double* sums = static_cast<double*>(acc.mutable_data_ptr());
  const int64_t row = acc.stride(0), column = acc.stride(1);
  multiply({row_set(left), row_set(right), same, false},
           [=](int64_t i, int64_t j, int64_t columns, const double* values) {
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
