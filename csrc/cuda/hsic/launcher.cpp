// hsic_accumulate_ on CUDA: acc (La, Lb) += a (La, m) b (Lb, m)^T.
// Two kernels: the simple one (cuda/hsic/simple.h), and the fast one (cuda/hsic/fast.h), which
// takes float32 and m up to 512 splits of 1,024; what it does not take the simple one does.
// Workspace of either: at most 32 MiB of partial tiles.
#include "cuda/launcher.h"

namespace vitprobe {
namespace {

using kernels::Accumulator;
using kernels::AnyMatrix;
using kernels::plan_product;
using kernels::plan_splits;
using kernels::ProductPlan;
using kernels::SplitPlan;

AnyMatrix matrix(const Tensor& x) {
  return {x.const_data_ptr(), x.size(0), x.size(1), x.stride(0)};
}

void accumulate(const Tensor& acc, const Tensor& a, const Tensor& b, bool fast) {
  STD_TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && acc.dim() == 2, "matrices expected");
  STD_TORCH_CHECK(a.size(1) == b.size(1) && acc.size(0) == a.size(0) && acc.size(1) == b.size(0),
                  "shapes (La, Lb), (La, m), (Lb, m) expected");
  STD_TORCH_CHECK(acc.scalar_type() == ScalarType::Double, "acc must be float64");
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type() && (a.scalar_type() == ScalarType::Float ||
                                                         a.scalar_type() == ScalarType::Double),
                  "a and b must both be float32 or both float64");
  STD_TORCH_CHECK(acc.is_cuda() && a.is_cuda() && b.is_cuda() &&
                      acc.get_device_index() == a.get_device_index() &&
                      acc.get_device_index() == b.get_device_index(),
                  "acc, a and b must be on one device");
  if (a.size(0) == 0 || b.size(0) == 0 || a.size(1) == 0) return;
  const OnDeviceOf device(acc);

  const bool same = a.const_data_ptr() == b.const_data_ptr() && a.size(0) == b.size(0) &&
                    a.stride(0) == b.stride(0) && a.stride(1) == b.stride(1);
  const Tensor left = a.stride(1) == 1 ? a : torch::stable::contiguous(a);
  const Tensor right = same ? left : b.stride(1) == 1 ? b : torch::stable::contiguous(b);
  const Accumulator sums{doubles(acc), acc.size(0), acc.size(1), acc.stride(0), acc.stride(1)};
  if (fast && a.scalar_type() == ScalarType::Float) {
    const SplitPlan plan = plan_splits(a.size(0), b.size(0), a.size(1), same);
    if (plan.per_launch > 0) {
      const Tensor partials = workspace(acc, plan.partials(), ScalarType::Float);
      check_launch(kernels::launch_hsic_accumulate_fast(
          matrix(left), matrix(right), plan, static_cast<float*>(partials.mutable_data_ptr()), sums,
          device.stream()));
      return;
    }
  }
  const ProductPlan plan = plan_product(a.size(0), b.size(0), a.size(1), same);
  const Tensor partials = workspace(acc, plan.partials());
  check_launch(kernels::launch_hsic_accumulate(matrix(left), matrix(right),
                                               element_of(a.scalar_type()), plan, doubles(partials),
                                               sums, device.stream()));
}

void hsic_accumulate(Tensor acc, const Tensor& a, const Tensor& b) { accumulate(acc, a, b, false); }

void hsic_accumulate_fast(Tensor acc, const Tensor& a, const Tensor& b) {
  accumulate(acc, a, b, true);
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("hsic_accumulate_", TORCH_BOX(&vitprobe::hsic_accumulate));
  m.impl("hsic_accumulate_fast_", TORCH_BOX(&vitprobe::hsic_accumulate_fast));
}
