// The operators' schemas. Each device's library adds its own implementations; those that end in
// `fast` have a CUDA kernel only (vitprobe/ops/variants.py).
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(vitprobe, m) {
  m.def("gram(Tensor x) -> Tensor");
  m.def("center_pack(Tensor gram, bool biased) -> Tensor");
  m.def("centered_gram(Tensor x, bool biased) -> Tensor");
  m.def("centered_gram_fast(Tensor x, bool biased, bool tf32) -> Tensor");
  m.def("centered_grams(Tensor[] xs, bool biased) -> Tensor");
  m.def("centered_grams_fast(Tensor[] xs, bool biased, bool tf32) -> Tensor");
  m.def(
      "centered_grams_fast_(Tensor(a!) vectors, Tensor(b!) norms, Tensor[] xs, bool biased, "
      "bool tf32) -> ()");
  m.def(
      "attention_statistics(Tensor q, Tensor k, float scale, int rows, int columns, int prefix, "
      "Tensor? bias, float height, float width, bool class_row) -> (Tensor, Tensor)");
  m.def(
      "attention_statistics_fast(Tensor q, Tensor k, float scale, int rows, int columns, "
      "int prefix, Tensor? bias, float height, float width, bool class_row) -> (Tensor, Tensor)");
  m.def("hsic_accumulate_(Tensor(a!) acc, Tensor a, Tensor b) -> ()");
  m.def("hsic_accumulate_fast_(Tensor(a!) acc, Tensor a, Tensor b) -> ()");
}
