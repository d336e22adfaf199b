// Attention statistics and the class token's row by the device's bodies, on the host.
#include <initializer_list>
#include <limits>
#include <numeric>

#include "cuda/attention/class_row.h"
#include "cuda/attention/fast.h"
#include "cuda/attention/simple.h"
#include "host/host_grid.h"
#include "host/host_warps.h"
#include "problem.h"

namespace device_test {

using namespace vitprobe;
using namespace vitprobe::kernels;

namespace {

template <typename T> Heads<T> heads(const AnyMatrix& x, const Strides& by) {
  return {static_cast<const T*>(x.data), {by.of[0], by.of[1], by.of[2], by.of[3]}};
}

// Type: of q and k. run(q, k, bias, partials, out), out of `size` numbers.
template <typename T, class Run>
Values with_inputs(const Problem& problem, int64_t workspace, int64_t size, const Run& run) {
  using Wide = Widened<T>;
  const AttentionShape& shape = problem.shape;
  const Heads<T> q = heads<T>(problem.x[0], strides_of(shape, false));
  const Heads<T> k = heads<T>(problem.x[1], strides_of(shape, true));
  const Heads<Wide> bias = problem.x.size() > 2 ? heads<Wide>(problem.x[2], bias_strides(shape))
                                                : Heads<Wide>{nullptr, {0, 0, 0, 0}};
  std::vector<double> partials(workspace, std::numeric_limits<double>::quiet_NaN());
  std::vector<Wide> out(size, std::numeric_limits<Wide>::quiet_NaN());
  run(q, k, bias, partials.data(), out.data());
  return Values(out.begin(), out.end());
}

template <typename T> Values simple(const Problem& problem, const std::vector<int>& order) {
  const AttentionShape& shape = problem.shape;
  HostGrid grid{order};
  if (problem.op == Op::class_row) {
    return with_inputs<T>(problem, 0, shape.pairs() * shape.tokens,
                          [&](auto q, auto k, auto bias, double*, auto* out) {
                            class_row<T>(grid, shape, q, k, bias, out);
                          });
  }
  const int64_t workspace = attention_partials(shape, AttentionQueries<T>::kQueries);
  return with_inputs<T>(problem, workspace, kStatistics * shape.pairs(),
                        [&](auto q, auto k, auto bias, double* partials, auto* out) {
                          attention<T>(grid, shape, q, k, bias, partials, out);
                        });
}

template <typename T> Values fast(const Problem& problem, const std::vector<int>& order) {
  const AttentionShape& shape = problem.shape;
  HostWarpGrid grid{{order}, {false}};
  return with_inputs<T>(problem, fast_partials(shape, problem.num_sms), kStatistics * shape.pairs(),
                        [&](auto q, auto k, auto bias, double* partials, float* out) {
                          attention_fast<T>(grid, shape, q, k, bias, problem.num_sms, partials,
                                            out);
                        });
}

}  // namespace

Values attention_on_host(const Problem& problem) {
  std::vector<int> order(kThreads);
  std::iota(order.begin(), order.end(), 0);
  Values out;
  if (problem.op == Op::attention_fast) {
    with_type<BF16, F16>(problem.kind, [&](auto t) { out = fast<decltype(t)>(problem, order); });
  } else {
    with_type<float, double, BF16, F16>(problem.kind,
                                        [&](auto t) { out = simple<decltype(t)>(problem, order); });
  }
  return out;
}

}  // namespace device_test
