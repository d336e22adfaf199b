// The fast Gram kernel on the host, for module.cpp: what it computes, and its maps.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/gram/group.h"
#include "host/host_warps.h"

namespace vitprobe::kernels {

namespace py = pybind11;

// x's rows lie as in the numpy array. Workspace and result start as NaN.
template <class Math>
py::dict run_gram_fast(const Matrix<typename Math::T>& x, int64_t num_sms,
                       const std::vector<int>& order, bool eager) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  std::vector<float> partials(num_sms * kPartialsPerSm, static_cast<float>(kNaN));
  std::vector<float> shifts(gram_shifts(x.rows, x.columns), static_cast<float>(kNaN));
  py::array_t<double> packed(packed_size(x.rows, true));
  std::fill_n(packed.mutable_data(), packed.size(), kNaN);
  HostWarpGrid grid{{order}, {eager}};
  std::vector<double> squares(kMostSquares, kNaN);
  const int64_t parts = gram_fast<Math>(grid, x, num_sms, partials.data(), shifts.data(),
                                        packed.mutable_data(), squares.data());
  py::dict out;
  out["squares"] = std::accumulate(squares.begin(), squares.begin() + parts, 0.0);
  out["packed"] = packed;
  out["copy"] = copy_bytes(x);
  out["loads"] = grid.state.loads;
  out["conflicts"] = grid.state.conflicts;
  out["misaligned"] = grid.state.misaligned;
  return out;
}

// The centred vectors (sites, m) of one group, or of several if they do not fit one.
template <class Math>
py::dict run_centered_grams(const std::vector<Matrix<typename Math::T>>& sites, int64_t num_sms,
                            bool biased, const std::vector<int>& order, bool eager) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const int64_t n = sites[0].rows, count = static_cast<int64_t>(sites.size());
  int64_t columns = 0;
  for (const auto& x : sites) columns = std::max(columns, x.columns);
  const GroupSizes sizes = group_sizes(n, count, columns, num_sms);
  std::vector<float> partials(sizes.partials, static_cast<float>(kNaN));
  std::vector<float> shifts(sizes.shifts, static_cast<float>(kNaN));
  std::vector<double> packed(sizes.packed, kNaN), sums(sizes.sums, kNaN);
  std::vector<double> squares(sizes.squares, kNaN);
  py::array_t<float> vectors({count, packed_size(n, biased)});
  py::array_t<double> norms(count);
  std::fill_n(vectors.mutable_data(), vectors.size(), static_cast<float>(kNaN));
  std::fill_n(norms.mutable_data(), count, kNaN);
  HostWarpGrid grid{{order}, {eager}};
  centered_grams<Math>(
      grid, sites.data(), count, num_sms, biased,
      GroupWorkspace{partials.data(), shifts.data(), packed.data(), sums.data(), squares.data()},
      GroupResults{vectors.mutable_data(), packed_size(n, biased), norms.mutable_data()});
  py::dict out;
  out["norms"] = norms;
  out["vectors"] = vectors;
  out["launches"] = grid.launches;
  out["conflicts"] = grid.state.conflicts;
  out["misaligned"] = grid.state.misaligned;
  return out;
}

// run(Math{}) with the mathematics of a name.
template <class Run> py::dict with_math_named(const std::string& math, const Run& run) {
  if (math == "bf16") return run(MathBF16{});
  if (math == "f16") return run(MathF16{});
  if (math == "tf32") return run(MathTF32{});
  if (math == "f32") return run(Math3xTF32{});
  throw std::invalid_argument("no such mathematics");
}

// Splits before each site and behind the last, of the group of the first sites of n rows.
inline std::vector<int64_t> take_group_of(int64_t n, const std::vector<int64_t>& columns,
                                          int64_t blocks) {
  std::vector<Matrix<float>> sites;
  for (const int64_t p : columns) sites.push_back({nullptr, n, p, p});
  const GroupSplits splits =
      take_group(sites.data(), static_cast<int64_t>(sites.size()), blocks).splits;
  for (int split = 0; split < splits.first[splits.sites]; ++split) {
    const int site = splits.site_of(split);
    if (split < splits.first[site] || split >= splits.first[site + 1]) {
      throw std::logic_error("site_of names another site");
    }
  }
  return {splits.first, splits.first + splits.sites + 1};
}

using Places = std::vector<std::pair<int, int>>;

// map(lane, r) of all lanes, register after register.
template <class Map> Places places_of(const Map& map, int registers) {
  Places all;
  for (int r = 0; r < registers; ++r) {
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const Place at = map(lane, r);
      all.emplace_back(at.row, at.at);
    }
  }
  return all;
}

// (row, column) of every value of every thread of a group.
template <class Tiles> std::vector<std::pair<int64_t, int64_t>> elements_of() {
  std::vector<std::pair<int64_t, int64_t>> all;
  for (int e = 0; e < Tiles::kSize; ++e) {
    const Coordinate at = Tiles::element(e / Tiles::kThreadsEach, e % Tiles::kThreadsEach);
    all.emplace_back(at.row, at.col);
  }
  return all;
}

inline py::dict plan_gram_of(int64_t n, int64_t stages, bool corner, int64_t num_sms) {
  const GramPlan plan = plan_gram(n, stages, corner, num_sms);
  std::vector<std::tuple<int64_t, int64_t, int>> blocks;
  for (int64_t b = 0; b < plan.blocks; ++b) {
    const BlockRows rows = block_rows(n, corner, b);
    blocks.emplace_back(rows.first, rows.second, rows.count);
  }
  std::vector<std::pair<int64_t, int64_t>> splits;
  for (int64_t pass = 0; pass < plan.passes; ++pass) {
    for (int64_t split = 0; split < plan.splits; ++split) {
      const Range range = split_stages(plan, pass, split);
      splits.emplace_back(range.begin, range.end);
    }
  }
  py::dict out;
  out["blocks"] = blocks;
  out["splits"] = splits;
  out["at_once"] = plan.per_launch * plan.splits;
  return out;
}

// operation(a, b) of arrays of pairs of halves.
template <auto of_bf16, auto of_f16>
py::array_t<uint32_t> pairs_of(const py::array_t<uint32_t>& a, const py::array_t<uint32_t>& b,
                               bool bf16) {
  py::array_t<uint32_t> out(a.size());
  for (py::ssize_t i = 0; i < a.size(); ++i) {
    out.mutable_at(i) = bf16 ? of_bf16(a.at(i), b.at(i)) : of_f16(a.at(i), b.at(i));
  }
  return out;
}

// What ldmatrix gives the lanes of warp 0, (lanes, 4), of 32 rows of 8 halves.
inline py::array_t<uint32_t> loaded(const py::array_t<uint16_t>& rows, bool transposed) {
  alignas(kUnit) uint16_t shared[kWarpSize][8];
  for (int i = 0; i < kWarpSize * 8; ++i) shared[i / 8][i % 8] = rows.at(i / 8, i % 8);
  HostState state{true};
  const HostWarps block{{{}}, state};
  HostWarps::PerThread<OperandFragment> out;
  const auto row = [&](int thread) { return shared[thread]; };
  if (transposed) {
    block.ldmatrix_transposed(0, out, row);
  } else {
    block.ldmatrix(0, out, row);
  }
  py::array_t<uint32_t> registers({kWarpSize, 4});
  for (int i = 0; i < kWarpSize * 4; ++i) registers.mutable_at(i / 4, i % 4) = out[i / 4].at[i % 4];
  return registers;
}

inline void add_gram_fast(py::module_& m) {
  m.attr("KEPT_STAGES") = kStages;
  m.attr("RUN_STAGES") = kRunStages;
  m.attr("GROUP_SITES") = kGroupSites;
  m.attr("WAVES") = kWaves;
  m.def("take_group", &take_group_of);
  m.def("group_partials", [](int64_t n, int64_t count, int64_t num_sms) {
    return group_sizes(n, count, 1, num_sms).partials;
  });
  m.def("a_places", [] { return places_of(a_place, 4); });
  m.def("b_places", [] { return places_of(b_place, 2); });
  m.def("c_places", [] { return places_of(c_place, 4); });
  m.def("a_sources", [] { return places_of([](int lane, int) { return a_source(lane); }, 1); });
  m.def("b_sources", [] { return places_of([](int lane, int) { return b_source(lane); }, 1); });
  m.def("swizzled", &swizzled);
  m.def("round_tf32", [](const py::array_t<uint32_t>& bits) {
    py::array_t<uint32_t> out(bits.size());
    for (py::ssize_t i = 0; i < bits.size(); ++i) out.mutable_at(i) = round_tf32(bits.at(i));
    return out;
  });
  m.def("add_pairs", &pairs_of<&add_pairs<BF16>, &add_pairs<F16>>);
  m.def("subtract_pairs", &pairs_of<&subtract_pairs<BF16>, &subtract_pairs<F16>>);
  m.def("loaded", &loaded);
  m.def("narrow", [](const py::array_t<float>& values, bool bf16) {
    py::array_t<uint16_t> out(values.size());
    for (py::ssize_t i = 0; i < values.size(); ++i) {
      const float value = values.at(i);
      out.mutable_at(i) = bf16 ? narrow(value, BF16{}).bits : narrow(value, F16{}).bits;
    }
    return out;
  });
  m.def("gram_elements", [](int rows, bool corner) {
    if (corner) return elements_of<GramTiles<256, true>>();
    if (rows == 64) return elements_of<GramTiles<64, false>>();
    if (rows == 128) return elements_of<GramTiles<128, false>>();
    return elements_of<GramTiles<256, false>>();
  });
  m.def("plan_gram", &plan_gram_of);
  m.def("shared_bytes", [] {
    return std::vector<size_t>{sizeof(GramSplit<MathBF16, GramTiles<64, false>>::Shared),
                               sizeof(GramSplit<MathBF16, GramTiles<128, false>>::Shared),
                               sizeof(GramSplit<MathBF16, GramTiles<256, false>>::Shared),
                               sizeof(GramSplit<Math3xTF32, GramTiles<256, true>>::Shared)};
  });
}

}  // namespace vitprobe::kernels
