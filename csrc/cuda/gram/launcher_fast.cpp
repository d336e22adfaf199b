// centered_gram and centered_grams on CUDA by the fast kernels: check, allocate, launch
// (cuda/gram/fast.h, group.h).
//
// Workspace for n examples of p features, in one allocation: 144 KiB of partial results for each
// multiprocessor, the Gram matrix in fp64, 4 n(n+1) bytes, 9 KiB, and 8 p bytes more for n > 256.
// Many together, n <= 256: partial results of as many blocks as the GPU holds twice and of one more
// for each site (58 MB on 132 multiprocessors, n = 256), Gram matrices of at most 128 sites.
#include "common/packed.h"
#include "common/split.h"
#include "cuda/gram/group.h"
#include "cuda/launcher.h"

namespace vitprobe {
namespace {

using kernels::AnyMatrix;

// Hands out pieces of one allocation, each aligned to 256 bytes.
class Pieces {
 public:
  template <typename T> Pieces& need(T*& piece, int64_t size) {
    wanted_.push_back({reinterpret_cast<void**>(&piece), bytes_});
    bytes_ += ceil_div(size * static_cast<int64_t>(sizeof(T)), 256) * 256;
    return *this;
  }
  Tensor allocate(const Tensor& like) {
    Tensor all = workspace(like, bytes_ / 8);
    for (const auto& [piece, offset] : wanted_) {
      *piece = static_cast<char*>(all.mutable_data_ptr()) + offset;
    }
    return all;
  }

 private:
  struct Wanted {
    void** piece;
    int64_t offset;
  };
  std::vector<Wanted> wanted_;
  int64_t bytes_ = 0;
};

// Of every x its centred vector, `stride` apart, and its first example's norm, unless null.
void centered_grams_into(const std::vector<Rows>& all, bool biased, bool tf32,
                         const kernels::GroupResults& to) {
  STD_TORCH_CHECK(all[0].type != ScalarType::Double, "float64 has no fast kernel");
  const OnDeviceOf device(all[0].owner);
  const auto count = static_cast<int64_t>(all.size());
  const int64_t n = all[0].n, num_sms = sm_count(all[0].owner);
  std::vector<AnyMatrix> sites;
  int64_t columns = 0;
  for (const Rows& x : all) {
    sites.push_back(matrix(x));
    columns = std::max(columns, x.p);
  }
  const kernels::GroupSizes sizes = kernels::group_sizes(n, count, columns, num_sms);
  kernels::GroupWorkspace work{};
  Pieces pieces;
  pieces.need(work.partials, sizes.partials).need(work.shifts, sizes.shifts);
  pieces.need(work.packed, sizes.packed).need(work.sums, sizes.sums);
  pieces.need(work.squares, to.norms == nullptr ? 0 : sizes.squares);
  const Tensor memory = pieces.allocate(all[0].owner);
  check_launch(kernels::launch_centered_grams(sites.data(), count, element_of(all[0].type), tf32,
                                              num_sms, biased, work, to, device.stream()));
}

Tensor centered_gram_fast(const Tensor& x, bool biased, bool tf32) {
  const Rows rows = rows_of(x);
  const int64_t length = packed_size(rows.n, biased);
  Tensor out = workspace(x, length, ScalarType::Float);
  centered_grams_into({rows}, biased, tf32, {floats(out), length, nullptr});
  return out;
}

Tensor centered_grams_fast(const std::vector<Tensor>& xs, bool biased, bool tf32) {
  const std::vector<Rows> all = rows_of_all(xs);
  Tensor out = new_vectors(all, biased);
  centered_grams_into(all, biased, tf32, {floats(out), out.stride(0), nullptr});
  return out;
}

// vectors (k, m) float32, any row stride; norms (k,) float64.
void centered_grams_fast_into(Tensor vectors, Tensor norms, const std::vector<Tensor>& xs,
                              bool biased, bool tf32) {
  const std::vector<Rows> all = rows_of_all(xs);
  const auto count = static_cast<int64_t>(all.size());
  const auto on_device = [&](const Tensor& to) {
    return to.is_cuda() && to.get_device_index() == xs[0].get_device_index();
  };
  STD_TORCH_CHECK(on_device(vectors) && on_device(norms), "all must be on one device");
  STD_TORCH_CHECK(vectors.scalar_type() == ScalarType::Float && vectors.dim() == 2 &&
                      vectors.size(0) == count &&
                      vectors.size(1) == packed_size(all[0].n, biased) && vectors.stride(1) == 1,
                  "vectors must be float32, a row for each activation");
  STD_TORCH_CHECK(norms.scalar_type() == ScalarType::Double && norms.dim() == 1 &&
                      norms.size(0) == count && norms.stride(0) == 1,
                  "norms must be float64, one for each activation");
  centered_grams_into(all, biased, tf32, {floats(vectors), vectors.stride(0), doubles(norms)});
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CUDA, m) {
  m.impl("centered_gram_fast", TORCH_BOX(&vitprobe::centered_gram_fast));
  m.impl("centered_grams_fast", TORCH_BOX(&vitprobe::centered_grams_fast));
  m.impl("centered_grams_fast_", TORCH_BOX(&vitprobe::centered_grams_fast_into));
}
