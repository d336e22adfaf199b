// gram, center_pack, centered_gram and centered_grams on CUDA by the simple kernel: check,
// allocate, launch (cuda/gram/simple.h, center.h).
//
// Workspace for n examples of p features: p sums of columns, at most 32 MiB of partial tiles
// (cuda/product.h); centred, also the Gram matrix in fp64, 4 n(n+1) bytes, and for n > 256 the sums
// of center.h's tiles.
#include "common/packed.h"
#include "cuda/launcher.h"

namespace vitprobe {
namespace {

using kernels::launch_gram;
using kernels::plan_product;
using kernels::ProductPlan;

// out[] = packed lower triangle, with diagonal, of the shifted x's Gram matrix.
void gram_into(const Rows& x, const Tensor& out, cudaStream_t stream) {
  const Tensor mean = workspace(out, x.p, wide_type(x.type));
  const ProductPlan plan = plan_product(x.n, x.n, x.p, true);
  const Tensor partials = workspace(out, plan.partials());
  check_launch(launch_gram(matrix(x), element_of(x.type), plan, mean.mutable_data_ptr(),
                           doubles(partials), out.mutable_data_ptr(), element_of(out.scalar_type()),
                           stream));
}

// out[] = the centred vector of x, of type wide_type(x.type).
void centered_gram_into(const Rows& x, bool biased, void* out, cudaStream_t stream) {
  const Tensor packed = workspace(x.owner, packed_size(x.n, true));
  gram_into(x, packed, stream);
  center_into(packed, x.n, biased, out, wide_type(x.type), stream);
}

Tensor gram(const Tensor& x) {
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  Tensor out = workspace(x, packed_size(rows.n, true), wide_type(rows.type));
  gram_into(rows, out, device.stream());
  return out;
}

Tensor center_pack(const Tensor& gram, bool biased) {
  const OnDeviceOf device(gram);
  const Tensor packed = packed_gram_of(gram);
  const ScalarType type = packed.scalar_type();
  const int64_t n = examples_of_packed(packed.numel());
  Tensor out = workspace(gram, packed_size(n, biased), type);
  center_into(packed, n, biased, out.mutable_data_ptr(), type, device.stream());
  return out;
}

Tensor centered_gram(const Tensor& x, bool biased) {
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  Tensor out = workspace(x, packed_size(rows.n, biased), wide_type(rows.type));
  centered_gram_into(rows, biased, out.mutable_data_ptr(), device.stream());
  return out;
}

Tensor centered_grams(const std::vector<Tensor>& xs, bool biased) {
  const std::vector<Rows> all = rows_of_all(xs);
  const OnDeviceOf device(xs[0]);
  Tensor out = new_vectors(all, biased);
  for (size_t i = 0; i < all.size(); ++i) {
    centered_gram_into(all[i], biased, row_of(out, i), device.stream());
  }
  return out;
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("gram", TORCH_BOX(&vitprobe::gram));
  m.impl("center_pack", TORCH_BOX(&vitprobe::center_pack));
  m.impl("centered_gram", TORCH_BOX(&vitprobe::centered_gram));
  m.impl("centered_grams", TORCH_BOX(&vitprobe::centered_grams));
}
