// vitprobe_host: the maths that host and device share, and the CUDA kernels' bodies run on the
// host, for the tests. Built by CMakeLists.txt without torch and without CUDA.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/packed.h"
#include "common/split.h"
#include "common/tiles.h"
#include "common/widen.h"
#include "cpu/product/plan.h"
#include "cuda/gram/center.h"
#include "cuda/gram/simple.h"
#include "cuda/hsic/fast.h"
#include "cuda/hsic/simple.h"
#include "cuda/hsic/split.h"
#include "cuda/product.h"
#include "host/attention.h"
#include "host/gram_fast.h"
#include "host/host_grid.h"
#include "host/named.h"

namespace py = pybind11;
using namespace vitprobe;
using namespace vitprobe::kernels;

using Order = std::vector<int>;  // in which the threads of a block run between two barriers
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

static std::pair<int64_t, int64_t> tuple(Coordinate pair) { return {pair.row, pair.col}; }
static std::pair<int64_t, int64_t> tuple(Range range) { return {range.begin, range.end}; }

// A numpy matrix as it lies: rows of neighbouring elements, any distance between rows.
template <typename T> static Matrix<T> matrix(const py::array& x) {
  constexpr auto size = static_cast<py::ssize_t>(sizeof(T));
  if (x.ndim() != 2 || x.itemsize() != size || x.strides(1) != size) {
    throw std::invalid_argument("expected a matrix with dense rows of this element type");
  }
  return {static_cast<const T*>(x.data()), x.shape(0), x.shape(1), x.strides(0) / size};
}

// A new vector in which no element may stay as it is.
template <typename T> static py::array_t<T> poisoned(int64_t size) {
  py::array_t<T> out(size);
  std::fill_n(out.mutable_data(), size, static_cast<T>(kNaN));
  return out;
}

template <typename T, typename Out>
static py::array run_gram(const py::array& array, const Order& order, int64_t limit) {
  const Matrix<T> x = matrix<T>(array);
  std::vector<Widened<T>> mean(x.columns, static_cast<Widened<T>>(kNaN));
  const ProductPlan plan = plan_product(x.rows, x.rows, x.columns, true, limit);
  std::vector<double> partials(plan.partials(), kNaN);
  auto out = poisoned<Out>(packed_size(x.rows, true));
  HostGrid grid{order};
  gram(grid, x, plan, mean.data(), partials.data(), out.mutable_data());
  return out;
}

static py::object gram_of(const py::array& x, const std::string& type, bool wide,
                          const Order& order, int64_t limit) {
  return with_type_named<float, double, BF16, F16>(type, [&](auto element) -> py::object {
    using T = decltype(element);
    if (wide) return run_gram<T, double>(x, order, limit);
    return run_gram<T, Widened<T>>(x, order, limit);
  });
}

template <typename In, typename Out>
static py::array run_center_pack(const py::array_t<In>& gram, int64_t n, bool biased,
                                 const Order& order) {
  if (gram.size() != packed_size(n, true)) throw std::invalid_argument("not n(n+1)/2 elements");
  std::vector<double> sums(center_sums(n), kNaN);
  auto out = poisoned<Out>(packed_size(n, biased));
  HostWarpGrid grid{{order}, {true}};
  center_pack(grid, gram.data(), 1, n, biased, sums.data(), out.mutable_data(), 0);
  return out;
}

static Accumulator accumulator(py::array_t<double>& acc, int64_t rows, int64_t columns) {
  constexpr auto size = static_cast<py::ssize_t>(sizeof(double));
  if (acc.ndim() != 2 || acc.shape(0) != rows || acc.shape(1) != columns) {
    throw std::invalid_argument("shapes do not match");
  }
  return {acc.mutable_data(), rows, columns, acc.strides(0) / size, acc.strides(1) / size};
}

template <typename T>
static void run_hsic_accumulate(py::array_t<double>& acc, const py::array& a, const py::array& b,
                                bool same, const Order& order, int64_t limit) {
  const Matrix<T> left = matrix<T>(a), right = matrix<T>(b);
  if (left.columns != right.columns) throw std::invalid_argument("shapes do not match");
  const Accumulator into = accumulator(acc, left.rows, right.rows);
  const ProductPlan plan = plan_product(left.rows, right.rows, left.columns, same, limit);
  std::vector<double> partials(plan.partials(), kNaN);
  HostGrid grid{order};
  hsic_accumulate(grid, left, right, plan, partials.data(), into);
}

static void run_hsic_accumulate_fast(py::array_t<double>& acc, const py::array& a,
                                     const py::array& b, bool same, const Order& order,
                                     int64_t limit) {
  const Matrix<float> left = matrix<float>(a), right = matrix<float>(b);
  if (left.columns != right.columns) throw std::invalid_argument("shapes do not match");
  const Accumulator into = accumulator(acc, left.rows, right.rows);
  const SplitPlan plan = plan_splits(left.rows, right.rows, left.columns, same, limit);
  if (plan.per_launch < 1) throw std::invalid_argument("too many splits for the workspace");
  const std::unique_ptr<Quad[]> partials(new Quad[plan.partials() / 4]);  // aligned
  float* floats = partials[0].at;
  std::fill_n(floats, plan.partials(), static_cast<float>(kNaN));
  HostGrid grid{order};
  hsic_accumulate_fast(grid, left, right, plan, floats, into);
}

// What both plans of products on a GPU have.
template <class Plan> static py::dict described(const Plan& plan) {
  std::vector<std::pair<int64_t, int64_t>> tiles;
  for (int64_t i = 0; i < plan.tiles; ++i) tiles.push_back(tuple(plan.tile(i)));
  py::dict out;
  out["tiles"] = tiles;
  out["splits"] = plan.splits;
  out["per_launch"] = plan.per_launch;
  out["partials"] = plan.partials();
  return out;
}

static py::dict splits_of(int64_t rows, int64_t columns, int64_t k, bool lower, int64_t limit) {
  const SplitPlan plan = plan_splits(rows, columns, k, lower, limit);
  py::dict out = described(plan);
  out["length"] = plan.length;
  return out;
}

static py::dict plan_of(int64_t rows, int64_t columns, int64_t k, bool lower, int64_t limit) {
  const ProductPlan plan = plan_product(rows, columns, k, lower, limit);
  py::dict out = described(plan);
  out["runs"] = plan.runs;
  return out;
}

static py::dict panel_plan(int64_t rows, int64_t columns, int64_t k, bool symmetric, int64_t panel,
                           int64_t threads) {
  const RowSet a = {nullptr, rows, k, k, Element::f32}, b = {nullptr, columns, k, k, Element::f32};
  const PanelPlan plan = plan_panels({a, b, symmetric, symmetric}, panel, threads);
  std::vector<std::pair<int64_t, int64_t>> slabs, tiles;
  for (int64_t task = 0; task < plan.tasks(); ++task) {
    slabs.push_back(tuple(plan.slabs_of(task)));
    tiles.push_back(tuple(plan.tiles_of(task)));
  }
  py::dict out;
  out["slabs"] = slabs;
  out["tiles"] = tiles;
  out["splits"] = plan.splits;
  out["workspace"] = plan.splits * plan.split();
  return out;
}

template <typename T> static py::array_t<float> widen_all(const py::array_t<uint16_t>& bits) {
  py::array_t<float> out(bits.size());
  for (py::ssize_t i = 0; i < bits.size(); ++i) out.mutable_at(i) = widen(T{bits.at(i)});
  return out;
}

static void add_splits(py::module_& m) {
  m.attr("SPLIT_TILE") = kSplitTile;
  m.attr("SPLIT_STEP") = kSplitStep;
  m.attr("SPLIT_FETCHES") = kFetches;
  m.def("split_quad", &split_quad);
  m.def("split_fetch", [](int thread, int i) {
    const SplitPlace place = split_fetch(thread, i);
    return std::pair{place.row, place.k};
  });
  m.def("plan_splits", &splits_of, py::arg("rows"), py::arg("columns"), py::arg("k"),
        py::arg("lower"), py::arg("limit") = kSplitPartials);
  m.def("hsic_accumulate_fast", &run_hsic_accumulate_fast, py::arg("acc"), py::arg("a"),
        py::arg("b"), py::arg("same"), py::arg("order"), py::arg("limit") = kSplitPartials);
}

PYBIND11_MODULE(vitprobe_host, m) {
  add_splits(m);
  m.attr("TILE") = kProductTile;
  m.attr("RUN") = kProductRun;
  m.attr("THREADS") = kThreads;

  m.def("packed_size", &packed_size);
  m.def("packed_index", &packed_index);
  m.def("packed_coordinate",
        [](int64_t k, bool diagonal) { return tuple(packed_coordinate(k, diagonal)); });
  m.def("ceil_div", &ceil_div);
  m.def("run_range", [](int64_t k, int64_t run, int64_t i) { return tuple(run_range(k, run, i)); });
  m.def("share_range", [](int64_t count, int64_t shares, int64_t i) {
    return tuple(share_range(count, shares, i));
  });
  m.def("tile_rows", &tile_rows);
  m.def("lower_tiles", &lower_tiles);
  m.def("lower_tile", [](int64_t index) { return tuple(lower_tile(index)); });
  m.def("plan_product", &plan_of, py::arg("rows"), py::arg("columns"), py::arg("k"),
        py::arg("lower"), py::arg("limit") = kProductPartials);
  m.attr("SLAB") = kSlab;
  m.attr("WORKSPACE") = kWorkspace;
  m.def("plan_panels", &panel_plan, py::arg("rows"), py::arg("columns"), py::arg("k"),
        py::arg("symmetric"), py::arg("panel"), py::arg("threads"));
  m.def("widen_bf16", &widen_all<BF16>);
  m.def("widen_f16", &widen_all<F16>);

  m.def("gram", &gram_of, py::arg("x"), py::arg("type"), py::arg("wide"), py::arg("order"),
        py::arg("limit") = kProductPartials);
  m.def("center_pack_f32", &run_center_pack<float, float>);
  m.def("center_pack_f64", &run_center_pack<double, double>);
  m.def("center_pack_f64_f32", &run_center_pack<double, float>);
  m.def("hsic_accumulate_f32", &run_hsic_accumulate<float>, py::arg("acc"), py::arg("a"),
        py::arg("b"), py::arg("same"), py::arg("order"), py::arg("limit") = kProductPartials);
  m.def("hsic_accumulate_f64", &run_hsic_accumulate<double>, py::arg("acc"), py::arg("a"),
        py::arg("b"), py::arg("same"), py::arg("order"), py::arg("limit") = kProductPartials);

  m.def("gram_fast", [](const py::array& x, const std::string& math, int64_t num_sms,
                        const Order& order, bool eager) {
    return with_math_named(math, [&](auto chosen) {
      using Math = decltype(chosen);
      return run_gram_fast<Math>(matrix<typename Math::T>(x), num_sms, order, eager);
    });
  });
  m.def("centered_grams", [](const std::vector<py::array>& xs, const std::string& math,
                             int64_t num_sms, bool biased, const Order& order, bool eager) {
    return with_math_named(math, [&](auto chosen) {
      using Math = decltype(chosen);
      std::vector<Matrix<typename Math::T>> sites;
      for (const py::array& x : xs) sites.push_back(matrix<typename Math::T>(x));
      return run_centered_grams<Math>(sites, num_sms, biased, order, eager);
    });
  });
  add_attention(m);
  add_gram_fast(m);
}
