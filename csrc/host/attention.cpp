// The attention kernels on the host, for module.cpp.

#include "host/attention.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/attention/class_row.h"
#include "cuda/attention/fast.h"
#include "cuda/attention/simple.h"
#include "host/host_grid.h"
#include "host/host_warps.h"
#include "host/named.h"

namespace vitprobe::kernels {

namespace py = pybind11;

// Four numbers of dimensions as they lie; None: no bias.
template <typename T> Heads<T> heads_of(const py::object& x) {
  if (x.is_none()) return {nullptr, {0, 0, 0, 0}};
  const auto array = py::cast<py::array>(x);
  if (array.ndim() != 4 || array.itemsize() != sizeof(T)) {
    throw std::invalid_argument("expected four dimensions of this element type");
  }
  Heads<T> heads{static_cast<const T*>(array.data()), {}};
  for (int i = 0; i < 4; ++i) {
    heads.strides[i] = array.strides(i) / static_cast<int64_t>(sizeof(T));
  }
  return heads;
}

template <typename T> py::array_t<T> unwritten(const std::vector<int64_t>& shape) {
  py::array_t<T> out(shape);
  std::fill_n(out.mutable_data(), out.size(), std::numeric_limits<T>::quiet_NaN());
  return out;
}

// What both kernels are given.
struct AttentionInputs {
  py::array q, k;
  py::object bias;
  AttentionShape shape;

  AttentionInputs(const py::array& q_, const py::array& k_, py::object bias_, double scale,
                  std::pair<int64_t, int64_t> grid, int64_t prefix, std::pair<double, double> patch)
      : q(q_), k(k_), bias(std::move(bias_)) {
    if (q.ndim() != 4 || k.ndim() != 4) throw std::invalid_argument("q and k have 4 dimensions");
    shape = {q.shape(0),  q.shape(1), k.shape(1), q.shape(2),  q.shape(3),  grid.first,
             grid.second, prefix,     scale,      patch.first, patch.second};
    if (prefix + shape.patches() != shape.tokens) throw std::invalid_argument("another grid");
  }
};

template <typename T>
py::dict run_attention(const AttentionInputs& in, const std::vector<int>& order) {
  using Run = Widened<T>;
  const AttentionShape& shape = in.shape;
  std::vector<double> partials(attention_partials(shape, AttentionQueries<T>::kQueries),
                               std::numeric_limits<double>::quiet_NaN());
  auto statistics = unwritten<Run>({kStatistics, shape.images, shape.heads});
  auto row = unwritten<Run>({shape.images, shape.heads, shape.tokens});
  HostGrid grid{order};
  const auto q = heads_of<T>(in.q), k = heads_of<T>(in.k);
  const auto bias = heads_of<Run>(in.bias);
  attention<T>(grid, shape, q, k, bias, partials.data(), statistics.mutable_data());
  class_row<T>(grid, shape, q, k, bias, row.mutable_data());
  py::dict out;
  out["statistics"] = statistics;
  out["row"] = row;
  return out;
}

template <typename T>
py::dict run_attention_fast(const AttentionInputs& in, int64_t num_sms,
                            const std::vector<int>& order, bool eager) {
  const AttentionShape& shape = in.shape;
  const Heads<T> q = heads_of<T>(in.q), k = heads_of<T>(in.k);
  const auto any = [](const Heads<T>& x) {
    return AnyHeads{x.data, {x.strides[0], x.strides[1], x.strides[2], x.strides[3]}};
  };
  py::dict out;
  out["fits"] = fits_matrix_unit(shape, any(q), any(k));
  if (!py::cast<bool>(out["fits"])) return out;
  std::vector<double> partials(fast_partials(shape, num_sms),
                               std::numeric_limits<double>::quiet_NaN());
  auto statistics = unwritten<float>({kStatistics, shape.images, shape.heads});
  HostWarpGrid grid{{order}, {eager}};
  attention_fast(grid, shape, q, k, heads_of<float>(in.bias), num_sms, partials.data(),
                 statistics.mutable_data());
  out["statistics"] = statistics;
  out["loads"] = grid.state.loads;
  out["conflicts"] = grid.state.conflicts;
  out["misaligned"] = grid.state.misaligned;
  return out;
}

// From a query to four keys, the first of them `key`; nothing where the table does not fit.
template <class Far> std::vector<float> far_from(const AttentionShape& shape, int query, int key) {
  const FarGrid grid(shape);
  if (!Far::fits(grid)) return {};
  const auto table = std::make_unique<typename Far::Table>();
  for (int thread = 0; thread < kThreads; ++thread) Far::fill(*table, grid, thread);
  typename Far::Key keys[kLaneKeys];
  float far[kLaneKeys];
  const int last = static_cast<int>(shape.patches()) - 1;
  for (int i = 0; i < kLaneKeys; ++i) {
    keys[i] = Far::key(grid, key + i <= last ? grid.place(key + i) : GridPlace{0, 0});
  }
  Far::four(*table, grid, Far::query(grid, grid.place(query)), keys, far);
  return {far, far + kLaneKeys};
}

void add_attention(py::module_& m) {
  py::class_<AttentionInputs>(m, "AttentionInputs")
      .def(py::init<const py::array&, const py::array&, py::object, double,
                    std::pair<int64_t, int64_t>, int64_t, std::pair<double, double>>(),
           py::arg("q"), py::arg("k"), py::arg("bias"), py::arg("scale"), py::arg("grid"),
           py::arg("prefix"), py::arg("patch"));
  m.def("attention",
        [](const AttentionInputs& in, const std::string& type, const std::vector<int>& order) {
          return with_type_named<float, double, BF16, F16>(
              type, [&](auto element) { return run_attention<decltype(element)>(in, order); });
        });
  m.def("attention_fast", [](const AttentionInputs& in, const std::string& type, int64_t num_sms,
                             const std::vector<int>& order, bool eager) {
    return with_type_named<BF16, F16>(type, [&](auto element) {
      return run_attention_fast<decltype(element)>(in, num_sms, order, eager);
    });
  });
  m.def("far", [](const std::string& kind, std::pair<int64_t, int64_t> grid,
                  std::pair<double, double> patch, int query, int key) {
    const AttentionShape shape{1,           1, 1,   0,           0,           grid.first,
                               grid.second, 0, 1.0, patch.first, patch.second};
    if (kind == "table") return far_from<FarTable>(shape, query, key);
    if (kind == "pairs") return far_from<FarPairs>(shape, query, key);
    return far_from<FarComputed>(shape, query, key);
  });
  m.def("divide", [](int n, int64_t divisor) { return Divider(divisor).of(n); });
  m.attr("FAR_PLACES") = kFarPlaces;
  m.def("attention_shared_bytes", [] {
    return std::vector<std::pair<size_t, int>>{
        {sizeof(AttentionTile<BF16, 2, FarTable, false>::Shared), 2},
        {sizeof(AttentionTile<BF16, 4, FarTable, false>::Shared), 2},
        {sizeof(AttentionTile<BF16, 4, FarPairs, false>::Shared), 2},
        {sizeof(AttentionTile<BF16, 6, FarTable, false>::Shared), 1},
        {sizeof(AttentionTile<BF16, 8, FarTable, false>::Shared), 1},
        {sizeof(AttentionTile<BF16, 8, FarComputed, true>::Shared), 1}};
  });
}

}  // namespace vitprobe::kernels
