// centered_gram and centered_grams on CUDA by the fast kernels: check, allocate, launch
// (cuda/gram/fast.h, group.h).
//
// Workspace for n examples of p features: 144 KiB of partial results for each multiprocessor, the
// Gram matrix in fp64, 4 n(n+1) bytes, n row sums, and 8 p bytes more for n > 256. Many together,
// n <= 256: partial results of as many blocks as the GPU holds twice and of one more for each site
// (58 MB on 132 multiprocessors, n = 256), Gram matrices and row sums of at most 128 sites.
#include "cuda/launcher.h"
#include "cuda/gram/group.h"
#include "common/packed.h"

namespace vitprobe {
namespace {

using kernels::AnyMatrix;

AnyMatrix matrix(const Rows& x) { return {x.data, x.n, x.p, x.stride}; }

float* floats(const Tensor& x) { return static_cast<float*>(x.mutable_data_ptr()); }

void check_type(const Rows& x) {
  STD_TORCH_CHECK(x.type != ScalarType::Double, "float64 has no fast kernel");
}

// out[] = the centred vector of x.
void centered_gram_into(const Rows& x, bool biased, bool tf32, void* out, cudaStream_t stream) {
  const int64_t num_sms = sm_count(x.owner);
  const Tensor partials = workspace(x.owner, num_sms * kernels::kPartialsPerSm, ScalarType::Float);
  const Tensor shifts = workspace(x.owner, kernels::gram_shifts(x.n, x.p), ScalarType::Float);
  const Tensor packed = workspace(x.owner, packed_size(x.n, true));
  check_launch(kernels::launch_gram_fast(matrix(x), kernel_type(x.type), tf32, num_sms,
                                         floats(partials), floats(shifts), doubles(packed),
                                         stream));
  center_into(packed, x.n, biased, out, ScalarType::Float, stream);
}

Tensor centered_gram_fast(const Tensor& x, bool biased, bool tf32) {
  const OnDeviceOf device(x);
  const Rows rows = rows_of(x);
  check_type(rows);
  Tensor out = workspace(x, packed_size(rows.n, biased), ScalarType::Float);
  centered_gram_into(rows, biased, tf32, out.mutable_data_ptr(), device.stream());
  return out;
}

Tensor centered_grams_fast(const std::vector<Tensor>& xs, bool biased, bool tf32) {
  const std::vector<Rows> all = rows_of_all(xs);
  check_type(all[0]);
  const OnDeviceOf device(xs[0]);
  const auto count = static_cast<int64_t>(all.size());
  const int64_t n = all[0].n, num_sms = sm_count(xs[0]);
  Tensor out = torch::stable::new_empty(xs[0], {count, packed_size(n, biased)}, ScalarType::Float);
  if (n > kernels::kMostRows) {  // enough work each
    for (int64_t i = 0; i < count; ++i) {
      centered_gram_into(all[i], biased, tf32, row_of(out, i), device.stream());
    }
    return out;
  }
  std::vector<AnyMatrix> sites;
  for (const Rows& x : all) sites.push_back(matrix(x));
  const kernels::GroupWorkspace sizes = kernels::group_workspace(n, count, num_sms);
  const Tensor partials = workspace(xs[0], sizes.partials, ScalarType::Float);
  const Tensor packed = workspace(xs[0], sizes.packed), sums = workspace(xs[0], sizes.sums);
  check_launch(kernels::launch_centered_grams(sites.data(), count, kernel_type(all[0].type), tf32,
                                              num_sms, biased, floats(partials), doubles(packed),
                                              doubles(sums), floats(out), device.stream()));
  return out;
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("centered_gram_fast", TORCH_BOX(&vitprobe::centered_gram_fast));
  m.impl("centered_grams_fast", TORCH_BOX(&vitprobe::centered_grams_fast));
}
