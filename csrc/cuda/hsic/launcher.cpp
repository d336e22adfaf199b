// hsic_accumulate_ on CUDA: acc (La, Lb) += a (La, m) b (Lb, m)^T.
// Two kernels: the simple one (cuda/hsic/simple.h), and the fast one (cuda/hsic/fast.h), which
// takes float32 and m up to 512 splits of 1,024; what it does not take the simple one does.
// Workspace of either: at most 32 MiB of partial tiles.
#include "cuda/launcher.h"

namespace vitprobe {
namespace {

using kernels::Accumulator;
using kernels::plan_product;
using kernels::plan_splits;
using kernels::ProductPlan;
using kernels::SplitPlan;

void accumulate(const Tensor& acc, const Tensor& a, const Tensor& b, bool fast) {
  const ScalarType type = a.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double,
                  "a and b must both be float32 or both float64");
  STD_TORCH_CHECK(acc.is_cuda() && a.is_cuda() && b.is_cuda() &&
                      acc.get_device_index() == a.get_device_index() &&
                      acc.get_device_index() == b.get_device_index(),
                  "acc, a and b must be on one device");
  const OnDeviceOf device(acc);
  const Layers layers = layers_of(acc, a, b);
  if (layers.empty()) return;
  const auto& [left, right, same] = layers;
  const Accumulator sums{doubles(acc), acc.size(0), acc.size(1), acc.stride(0), acc.stride(1)};
  if (fast && type == ScalarType::Float) {
    const SplitPlan plan = plan_splits(left.n, right.n, left.p, same);
    if (plan.per_launch > 0) {
      const Tensor partials = workspace(acc, plan.partials(), ScalarType::Float);
      check_launch(kernels::launch_hsic_accumulate_fast(matrix(left), matrix(right), plan,
                                                        floats(partials), sums, device.stream()));
      return;
    }
  }
  const ProductPlan plan = plan_product(left.n, right.n, left.p, same);
  const Tensor partials = workspace(acc, plan.partials());
  check_launch(kernels::launch_hsic_accumulate(matrix(left), matrix(right), element_of(type), plan,
                                               doubles(partials), sums, device.stream()));
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
