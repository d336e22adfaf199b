// Gram matrices, their centring and products by the device's bodies, on the host.
#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>

#include "cuda/gram/center.h"
#include "cuda/gram/group.h"
#include "cuda/gram/simple.h"
#include "cuda/hsic/fast.h"
#include "cuda/hsic/simple.h"
#include "host/host_grid.h"
#include "host/host_warps.h"
#include "problem.h"

namespace device_test {

using namespace vitprobe;
using namespace vitprobe::kernels;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<int> in_order() {
  std::vector<int> order(kThreads);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

template <typename T> Values doubles(const std::vector<T>& values) {
  return Values(values.begin(), values.end());
}

template <typename T, typename Out> Values simple(const AnyMatrix& view) {
  const Matrix<T> x = typed<T>(view);
  const ProductPlan plan = plan_product(x.rows, x.rows, x.columns, true);
  std::vector<Widened<T>> mean(x.columns, static_cast<Widened<T>>(kNaN));
  std::vector<double> partials(plan.partials(), kNaN);
  std::vector<Out> out(packed_size(x.rows, true), static_cast<Out>(kNaN));
  HostGrid grid{in_order()};
  gram(grid, x, plan, mean.data(), partials.data(), out.data());
  return doubles(out);
}

template <class Math> Values fast(const Problem& problem) {
  std::vector<Matrix<typename Math::T>> sites;
  int64_t columns = 0;
  for (const AnyMatrix& x : problem.x) {
    sites.push_back(typed<typename Math::T>(x));
    columns = std::max(columns, x.columns);
  }
  const auto count = static_cast<int64_t>(sites.size());
  const int64_t n = sites[0].rows, length = packed_size(n, true);
  const GroupSizes sizes = group_sizes(n, count, columns, problem.num_sms);
  const auto nan = static_cast<float>(kNaN);
  std::vector<float> partials(sizes.partials, nan), shifts(sizes.shifts, nan);
  std::vector<float> vectors(count * length, nan);
  Values packed(sizes.packed, kNaN), sums(sizes.sums, kNaN), squares(sizes.squares, kNaN);
  Values norms(count, kNaN);
  HostWarpGrid grid{{in_order()}, {false}};
  centered_grams<Math>(grid, sites.data(), count, problem.num_sms, true,
                       {partials.data(), shifts.data(), packed.data(), sums.data(), squares.data()},
                       {vectors.data(), length, norms.data()});
  Values out = doubles(vectors);
  out.insert(out.end(), norms.begin(), norms.end());
  return out;
}

template <typename In, typename Out> Values center(const Problem& problem) {
  std::vector<double> sums(center_sums(problem.n), kNaN);
  std::vector<Out> out(packed_size(problem.n, problem.biased), static_cast<Out>(kNaN));
  HostWarpGrid grid{{in_order()}, {false}};
  center_pack(grid, static_cast<const In*>(problem.x[0].data), 1, problem.n, problem.biased,
              sums.data(), out.data(), 0);
  return doubles(out);
}

template <typename T> Values product(const Problem& problem) {
  const bool same = problem.x.size() == 1;
  const Matrix<T> a = typed<T>(problem.x.front()), b = typed<T>(problem.x.back());
  const ProductPlan plan = plan_product(a.rows, b.rows, a.columns, same);
  Values out(a.rows * b.rows, 0.0), partials(plan.partials(), kNaN);
  HostGrid grid{in_order()};
  hsic_accumulate(grid, a, b, plan, partials.data(), {out.data(), a.rows, b.rows, b.rows, 1});
  return out;
}

Values fast_product(const Problem& problem) {
  const bool same = problem.x.size() == 1;
  const Matrix<float> a = typed<float>(problem.x.front()), b = typed<float>(problem.x.back());
  const SplitPlan plan = plan_splits(a.rows, b.rows, a.columns, same);
  const std::unique_ptr<Quad[]> partials(new Quad[plan.partials() / 4]);  // aligned
  Values out(a.rows * b.rows, 0.0);
  HostGrid grid{in_order()};
  hsic_accumulate_fast(grid, a, b, plan, partials[0].at, {out.data(), a.rows, b.rows, b.rows, 1});
  return out;
}

}  // namespace

Values on_host(const Problem& problem) {
  const AnyMatrix& x = problem.x[0];
  switch (problem.op) {
    case Op::gram_simple:
      if (problem.kind == Element::f64) return simple<double, double>(x);
      if (problem.kind == Element::bf16) return simple<BF16, float>(x);
      if (problem.kind == Element::f16) return simple<F16, float>(x);
      return simple<float, float>(x);
    case Op::gram_fast:
      if (problem.kind == Element::bf16) return fast<MathBF16>(problem);
      if (problem.kind == Element::f16) return fast<MathF16>(problem);
      return problem.tf32 ? fast<MathTF32>(problem) : fast<Math3xTF32>(problem);
    case Op::center:
      if (problem.kind == Element::f32) return center<float, float>(problem);
      return problem.wide ? center<double, double>(problem) : center<double, float>(problem);
    case Op::hsic_simple:
      return problem.kind == Element::f64 ? product<double>(problem) : product<float>(problem);
    case Op::hsic_fast: return fast_product(problem);
    default: return attention_on_host(problem);
  }
}

}  // namespace device_test
