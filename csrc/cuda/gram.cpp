// gram, center_pack and centered_gram on CUDA: check, allocate, launch (kernels/gram.h, center.h).
//
// Workspace for n examples of p features: p sums of columns, at most 32 MiB of partial tiles
// (product.h), n + 1 row sums; centered_gram keeps the Gram matrix in fp64 until it is centred,
// 4 n(n+1) bytes. centered_gram_fast is the same by the fast kernel (kernels/gram_mma.h): 144 KiB of
// partial results for each multiprocessor, and 8 p bytes more for n > 256.
#include "device.h"
#include "kernels/gram_mma.h"
#include "kernels/packed.h"

namespace vitprobe {
namespace {

using kernels::launch_center_pack;
using kernels::launch_gram;
using kernels::plan_product;
using kernels::ProductPlan;

// out[] = packed lower triangle, with diagonal, of the shifted x's Gram matrix.
void gram_into(const Rows& x, const Tensor& out, cudaStream_t stream) {
  const Tensor mean = workspace(out, x.p, wide_type(x.type));
  const ProductPlan plan = plan_product(x.n, x.n, x.p, true);
  const Tensor partials = workspace(out, plan.partials());
  check_launch(launch_gram({x.data, x.n, x.p, x.stride}, kernel_type(x.type), plan,
                           mean.mutable_data_ptr(), doubles(partials), out.mutable_data_ptr(),
                           kernel_type(out.scalar_type()), stream));
}

void center_into(const Tensor& packed, int64_t n, bool biased, const Tensor& out,
                 cudaStream_t stream) {
  const Tensor sums = workspace(out, n + 1);
  check_launch(launch_center_pack(packed.const_data_ptr(), kernel_type(packed.scalar_type()), n,
                                  biased, doubles(sums), out.mutable_data_ptr(),
                                  kernel_type(out.scalar_type()), stream));
}

Tensor gram(const Tensor& x) {
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  Tensor out = workspace(x, packed_size(rows.n, true), wide_type(rows.type));
  gram_into(rows, out, device.stream());
  return out;
}

Tensor center_pack(const Tensor& gram, bool biased) {
  const ScalarType type = gram.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double,
                  "a float32 or float64 Gram matrix expected");
  const OnDeviceOf device(gram);
  const Tensor packed = torch::stable::contiguous(gram);
  const int64_t n = examples_of_packed(packed.numel());
  Tensor out = workspace(gram, packed_size(n, biased), type);
  center_into(packed, n, biased, out, device.stream());
  return out;
}

Tensor centered_gram(const Tensor& x, bool biased) {
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  const Tensor packed = workspace(x, packed_size(rows.n, true));
  gram_into(rows, packed, device.stream());
  Tensor out = workspace(x, packed_size(rows.n, biased), wide_type(rows.type));
  center_into(packed, rows.n, biased, out, device.stream());
  return out;
}

Tensor centered_gram_fast(const Tensor& x, bool biased, bool tf32) {
  STD_TORCH_CHECK(x.scalar_type() != ScalarType::Double, "float64 has no fast kernel");
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  const int64_t places = multiprocessors();
  const Tensor partials = workspace(x, places * kernels::kPlaceSize, ScalarType::Float);
  const Tensor shifts =
      workspace(x, kernels::gram_shifts(rows.n, rows.p), ScalarType::Float);
  const Tensor packed = workspace(x, packed_size(rows.n, true));
  check_launch(kernels::launch_gram_fast(
      {rows.data, rows.n, rows.p, rows.stride}, kernel_type(rows.type), tf32, places,
      static_cast<float*>(partials.mutable_data_ptr()),
      static_cast<float*>(shifts.mutable_data_ptr()), doubles(packed), device.stream()));
  Tensor out = workspace(x, packed_size(rows.n, biased), ScalarType::Float);
  center_into(packed, rows.n, biased, out, device.stream());
  return out;
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("gram", TORCH_BOX(&vitprobe::gram));
  m.impl("center_pack", TORCH_BOX(&vitprobe::center_pack));
  m.impl("centered_gram", TORCH_BOX(&vitprobe::centered_gram));
  m.impl("centered_gram_fast", TORCH_BOX(&vitprobe::centered_gram_fast));
}
