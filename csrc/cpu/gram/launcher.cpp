// gram, center_pack and centered_gram on the CPU.
#include "cpu/gram/center_pack.h"
#include "cpu/launcher.h"

namespace vitprobe {
namespace {

// packed[] = lower triangle, with diagonal, of X X^T, X less its column mean; of bf16 less one
// vector that need not be quite the mean.
template <class Out> void packed_gram(const Rows& x, Out* packed) {
  const RowSet rows = row_set(x);
  multiply({rows, rows, true, true},
           [&](int64_t i, int64_t j, int64_t columns, const double* sums) {
             std::copy(sums, sums + columns, packed + packed_index(i, j, true));
           });
}

Tensor gram(const Tensor& x) {
  const Rows rows = rows_of(x);
  Tensor out = torch::stable::new_empty(x, {packed_size(rows.n, true)}, wide_type(rows.type));
  if (rows.type == ScalarType::BFloat16) {
    const std::unique_ptr<double[]> packed(new double[packed_size(rows.n, true)]);
    packed_gram(rows, packed.get());
    subtract_mean(packed.get(), rows.n, out.mutable_data_ptr<float>());
    return out;
  }
  with_type<float, double>(element_of(out.scalar_type()), [&](auto element) {
    packed_gram(rows, out.mutable_data_ptr<decltype(element)>());
  });
  return out;
}

Tensor center_pack_cpu(const Tensor& gram, bool biased) {
  const Tensor packed = packed_gram_of(gram);
  const int64_t n = examples_of_packed(packed.numel());
  Tensor out = torch::stable::new_empty(gram, {packed_size(n, biased)});
  with_type<float, double>(element_of(gram.scalar_type()), [&](auto element) {
    using T = decltype(element);
    center_pack(packed.const_data_ptr<T>(), n, biased, out.mutable_data_ptr<T>());
  });
  return out;
}

// out[] = the centred vector; the Gram matrix stays in fp64 until it is centred.
void centered_gram_into(const Rows& x, bool biased, void* out) {
  const std::unique_ptr<double[]> packed(new double[packed_size(x.n, true)]);
  packed_gram(x, packed.get());
  with_type<float, double>(element_of(wide_type(x.type)), [&](auto element) {
    center_pack(packed.get(), x.n, biased, static_cast<decltype(element)*>(out));
  });
}

Tensor centered_gram(const Tensor& x, bool biased) {
  const Rows rows = rows_of(x);
  Tensor out = torch::stable::new_empty(x, {packed_size(rows.n, biased)}, wide_type(rows.type));
  centered_gram_into(rows, biased, out.mutable_data_ptr());
  return out;
}

Tensor centered_grams(const std::vector<Tensor>& xs, bool biased) {
  const std::vector<Rows> all = rows_of_all(xs);
  Tensor out = new_vectors(all, biased);
  for (size_t i = 0; i < all.size(); ++i) centered_gram_into(all[i], biased, row_of(out, i));
  return out;
}

}  // namespace
}  // namespace vitprobe

STABLE_TORCH_LIBRARY_IMPL(vitprobe, CPU, m) {
  m.impl("gram", TORCH_BOX(&vitprobe::gram));
  m.impl("center_pack", TORCH_BOX(&vitprobe::center_pack_cpu));
  m.impl("centered_gram", TORCH_BOX(&vitprobe::centered_gram));
  m.impl("centered_grams", TORCH_BOX(&vitprobe::centered_grams));
}
