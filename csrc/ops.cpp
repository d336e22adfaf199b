// The operators' schemas. Each device's library adds its own implementations.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(vitprobe, m) {
  m.def("gram(Tensor x) -> Tensor");
  m.def("center_pack(Tensor gram, bool biased) -> Tensor");
  m.def("centered_gram(Tensor x, bool biased) -> Tensor");
  m.def("centered_gram_fast(Tensor x, bool biased, bool tf32) -> Tensor");
  m.def("hsic_accumulate_(Tensor(a!) acc, Tensor a, Tensor b) -> ()");
}
