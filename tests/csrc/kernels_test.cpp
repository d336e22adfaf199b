// The CUDA kernels' bodies on the host, each buffer exactly as large as the kernels are promised:
// built with the address sanitizer, so that one element too far ends the program.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <vector>

#include "cuda/attention/simple.h"
#include "cuda/attention/fast.h"
#include "cuda/attention/class_row.h"
#include "cuda/gram/center.h"
#include "cuda/gram/simple.h"
#include "cuda/gram/group.h"
#include "host/host_grid.h"
#include "host/host_warps.h"
#include "cuda/hsic/simple.h"
#include "cuda/hsic/fast.h"

using namespace vitprobe;
using namespace vitprobe::kernels;

template <typename T>
static std::unique_ptr<T[]> buffer(int64_t size) {  // on the heap, filled with NaN
  auto data = std::make_unique<T[]>(size);
  std::fill_n(data.get(), size, std::numeric_limits<T>::quiet_NaN());
  return data;
}

static void expect_near(double value, double expected, double scale, const char* what) {
  if (std::abs(value - expected) <= 1e-5 * scale) return;
  std::printf("%s: %.9g, expected %.9g\n", what, value, expected);
  std::exit(1);
}

static HostGrid forward_grid() {
  HostGrid grid{std::vector<int>(kThreads)};
  std::iota(grid.order.begin(), grid.order.end(), 0);
  return grid;
}

// Rows of p elements, `gap` elements apart; the last row has no gap behind it.
static void test_gram(int64_t n, int64_t p, int64_t gap) {
  const int64_t stride = p + gap, size = (n - 1) * stride + p;
  auto x = buffer<float>(size);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < p; ++c) {
      x[i * stride + c] = static_cast<float>(10.0 + std::sin(0.7 * i + 1.3 * c + 0.01 * i * c));
    }
  }
  auto mean = buffer<float>(p);
  const ProductPlan plan = plan_product(n, n, p, true);
  auto partials = buffer<double>(plan.partials());
  auto packed = buffer<double>(packed_size(n, true));
  HostGrid grid = forward_grid();
  gram(grid, Matrix<float>{x.get(), n, p, stride}, plan, mean.get(), partials.get(), packed.get());

  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double expected = 0.0;
      for (int64_t c = 0; c < p; ++c) {
        expected += (static_cast<double>(x[i * stride + c]) - mean[c]) *
                    (static_cast<double>(x[j * stride + c]) - mean[c]);
      }
      expect_near(packed[packed_index(i, j, true)], expected, static_cast<double>(p), "gram");
    }
  }

  for (const bool biased : {false, true}) {
    const int64_t length = packed_size(n, biased);
    auto sums = buffer<double>(center_sums(n));
    auto centred = buffer<float>(length);
    HostWarpGrid warps{{grid.order}, {true}};
    center_pack(warps, packed.get(), 1, n, biased, sums.get(), centred.get(), 0);
    double norm = 0.0;
    for (int64_t k = 0; k < length; ++k) {
      norm += static_cast<double>(centred[k]) * static_cast<double>(centred[k]);
    }

    auto acc = buffer<double>(1);
    acc[0] = 1.0;
    const Matrix<float> row{centred.get(), 1, length, length};
    const ProductPlan once = plan_product(1, 1, length, true);
    auto tiles = buffer<double>(once.partials());
    hsic_accumulate(grid, row, row, once, tiles.get(), Accumulator{acc.get(), 1, 1, 1, 1});
    expect_near(acc[0], 1.0 + norm, 1.0 + norm, "hsic_accumulate_");
  }
}

// The fast kernel on numbers that its sums hold exactly; x starts `offset` elements into its
// buffer.
template <class Math>
static void test_gram_fast(int64_t n, int64_t p, int64_t gap, int64_t offset, bool eager) {
  using T = typename Math::T;
  const int64_t stride = p + gap;
  auto x = std::make_unique<T[]>(offset + (n - 1) * stride + p);
  const auto value = [](int64_t i, int64_t c) { return static_cast<float>((i * 7 + c * 3) % 5); };
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < p; ++c) x[offset + i * stride + c] = narrow(value(i, c), T{});
  }
  const int64_t num_sms = 3;
  auto partials = buffer<float>(num_sms * kPartialsPerSm);
  auto shifts = buffer<float>(gram_shifts(n, p));
  auto packed = buffer<double>(packed_size(n, true));
  auto squares = buffer<double>(kMostSquares);
  HostWarpGrid grid{{forward_grid().order}, {eager}};
  const int64_t parts = gram_fast<Math>(grid, Matrix<T>{x.get() + offset, n, p, stride}, num_sms,
                                        partials.get(), shifts.get(), packed.get(), squares.get());
  double whole = 0.0, expected = 0.0;
  for (int64_t i = 0; i < parts; ++i) whole += squares[i];
  for (int64_t c = 0; c < p; ++c) expected += value(0, c) * value(0, c);
  expect_near(whole, expected, expected, "squares of the first example");

  // Differences of rows keep neither shift nor rest.
  const auto k = [&](int64_t i, int64_t j) {
    return packed[i < j ? packed_index(j, i, true) : packed_index(i, j, true)];
  };
  for (int64_t i = 1; i < n; ++i) {
    double distance = 0.0;
    for (int64_t c = 0; c < p; ++c) {
      distance += (value(i, c) - value(i - 1, c)) * (value(i, c) - value(i - 1, c));
    }
    expect_near(k(i, i) + k(i - 1, i - 1) - 2 * k(i, i - 1), distance, 10.0 * p, "gram_fast");
  }
}

// Several sites at once, on numbers that the sums hold exactly; every one ends where its buffer
// does.
template <class Math> static void test_centered_grams(int64_t n, bool eager) {
  using T = typename Math::T;
  std::vector<std::unique_ptr<T[]>> data;
  std::vector<Matrix<T>> sites;
  for (const int64_t p : {1, 2, 33, 65, 200}) {
    data.push_back(std::make_unique<T[]>(n * p));
    for (int64_t k = 0; k < n * p; ++k) {
      data.back()[k] = narrow(static_cast<float>(k * 7 % 5), T{});
    }
    sites.push_back({data.back().get(), n, p, p});
  }
  const int64_t num_sms = 2, count = static_cast<int64_t>(sites.size());
  const GroupSizes sizes = group_sizes(n, count, 200, num_sms);
  auto partials = buffer<float>(sizes.partials);
  auto shifts = buffer<float>(sizes.shifts);
  auto packed = buffer<double>(sizes.packed), sums = buffer<double>(sizes.sums);
  auto squares = buffer<double>(sizes.squares), norms = buffer<double>(count);
  auto out = buffer<float>(count * packed_size(n, true));
  HostWarpGrid grid{{forward_grid().order}, {eager}};
  centered_grams<Math>(
      grid, sites.data(), count, num_sms, true,
      GroupWorkspace{partials.get(), shifts.get(), packed.get(), sums.get(), squares.get()},
      GroupResults{out.get(), packed_size(n, true), norms.get()});
  for (int64_t s = 0; s < count; ++s) {  // the trace is the sum of squares about the mean
    const int64_t p = sites[s].columns;
    double trace = 0.0, expected = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      trace += static_cast<double>(out[s * packed_size(n, true) + packed_index(i, i, true)]);
    }
    for (int64_t c = 0; c < p; ++c) {
      double sum = 0.0, squares = 0.0;
      for (int64_t i = 0; i < n; ++i) {
        const double value = static_cast<double>((i * p + c) * 7 % 5);
        sum += value;
        squares += value * value;
      }
      expected += squares - sum * sum / static_cast<double>(n);
    }
    expect_near(trace, expected, 10.0 * static_cast<double>(n * p), "centered_grams");
  }
}

// A matrix of ones times one of halves, added to an accumulator of threes.
static void test_hsic(int64_t la, int64_t lb, int64_t m) {
  auto a = buffer<double>(la * m), b = buffer<double>(lb * m), acc = buffer<double>(la * lb);
  std::fill_n(a.get(), la * m, 1.0);
  std::fill_n(b.get(), lb * m, 0.5);
  std::fill_n(acc.get(), la * lb, 3.0);
  const ProductPlan plan = plan_product(la, lb, m, false);
  auto partials = buffer<double>(plan.partials());
  HostGrid grid = forward_grid();
  hsic_accumulate(grid, Matrix<double>{a.get(), la, m, m}, Matrix<double>{b.get(), lb, m, m}, plan,
                  partials.get(), Accumulator{acc.get(), la, lb, lb, 1});
  for (int64_t i = 0; i < la * lb; ++i) expect_near(acc[i], 3.0 + 0.5 * m, 1e-9, "hsic");
}

// The same in large tiles; rows lie `gap` apart, the last one without a gap behind it.
static void test_hsic_fast(int64_t la, int64_t lb, int64_t m, int64_t gap, bool same) {
  const int64_t stride = m + gap;
  const int64_t sizes[2] = {(la - 1) * stride + m, (lb - 1) * stride + m};
  auto a = buffer<float>(sizes[0]), b = buffer<float>(sizes[1]);
  for (int64_t i = 0; i < la; ++i) std::fill_n(a.get() + i * stride, m, 1.0f);
  for (int64_t i = 0; i < lb; ++i) std::fill_n(b.get() + i * stride, m, 0.5f);
  auto acc = buffer<double>(la * lb);
  std::fill_n(acc.get(), la * lb, 3.0);
  const Matrix<float> left{a.get(), la, m, stride};
  const Matrix<float> right = same ? left : Matrix<float>{b.get(), lb, m, stride};
  const SplitPlan plan = plan_splits(la, lb, m, same);
  auto partials = std::make_unique<Quad[]>(plan.partials() / 4);
  HostGrid grid = forward_grid();
  hsic_accumulate_fast(grid, left, right, plan, partials[0].at,
                       Accumulator{acc.get(), la, lb, lb, 1});
  const double expected = 3.0 + (same ? 1.0 : 0.5) * static_cast<double>(m);
  for (int64_t i = 0; i < la * lb; ++i) expect_near(acc[i], expected, 1e-9, "hsic_fast");
}

// Equal keys: attention is uniform over them, whatever the queries are. Each tensor ends where its
// buffer does; tokens lie `gap` apart.
template <typename T>
static void test_attention(int64_t rows, int64_t columns, int64_t prefix, int64_t depth,
                           int64_t gap, bool biased) {
  const int64_t heads = 2, tokens = prefix + rows * columns, stride = depth + gap;
  const int64_t size = (heads * tokens - 1) * stride + depth;
  const AttentionShape shape{1, heads, 1, tokens, depth, rows, columns, prefix, 0.25, 2.0, 3.0};
  auto q = std::make_unique<T[]>(size);
  auto k = std::make_unique<T[]>((tokens - 1) * stride + depth);
  for (int64_t i = 0; i < size; ++i) q[i] = narrow(static_cast<float>(i % 7) - 3.0f, T{});
  for (int64_t i = 0; i < tokens; ++i) {
    for (int64_t d = 0; d < depth; ++d) {
      k[i * stride + d] = narrow(static_cast<float>(d % 3), T{});
    }
  }
  auto bias = buffer<float>(biased ? tokens * tokens : 1);
  std::fill_n(bias.get(), biased ? tokens * tokens : 1, 1.5f);
  const Heads<T> queries{q.get(), {0, tokens * stride, stride, 1}};
  const Heads<T> keys{k.get(), {0, 0, stride, 1}};
  const Heads<float> added{biased ? bias.get() : nullptr, {0, 0, tokens, 1}};

  const auto expect = [&](const float* out) {
    double far = 0.0;
    for (int64_t i = 0; i < rows * columns; ++i) {
      for (int64_t j = 0; j < rows * columns; ++j) {
        far += std::hypot(2.0 * static_cast<double>(i / columns - j / columns),
                          3.0 * static_cast<double>(i % columns - j % columns));
      }
    }
    const auto n = static_cast<double>(rows * columns), all = static_cast<double>(tokens);
    for (int64_t head = 0; head < heads; ++head) {
      expect_near(out[head], far / n / all, 100.0, "attention: raw distance");
      expect_near(out[heads + head], far / n / n, 100.0, "attention: distance");
      expect_near(out[2 * heads + head], n / all, 1.0, "attention: mass");
      expect_near(out[3 * heads + head], std::log(all), 5.0, "attention: entropy");
      expect_near(out[4 * heads + head], 0.0, 1.0, "attention: left out");
    }
  };
  HostWarpGrid grid{{forward_grid().order}, {gap == 0}};
  auto partials = buffer<double>(attention_partials(shape, AttentionQueries<T>::kQueries));
  auto out = buffer<float>(kStatistics * heads), row = buffer<float>(heads * tokens);
  attention<T>(grid, shape, queries, keys, added, partials.get(), out.get());
  expect(out.get());
  class_row<T>(grid, shape, queries, keys, added, row.get());
  for (int64_t i = 0; i < heads * tokens; ++i) {
    expect_near(row[i], 1.0 / static_cast<double>(tokens), 1.0, "class row");
  }
  if constexpr (std::is_same_v<T, BF16>) {  // the one of F16 differs in its mma only
    const AnyHeads any[2] = {{queries.data, {0, tokens * stride, stride, 1}},
                             {keys.data, {0, 0, stride, 1}}};
    if (!fits_matrix_unit(shape, any[0], any[1])) return;
    for (const int64_t num_sms : {1, 100}) {
      partials = buffer<double>(fast_partials(shape, num_sms));
      out = buffer<float>(kStatistics * heads);
      attention_fast(grid, shape, queries, keys, added, num_sms, partials.get(), out.get());
      expect(out.get());
    }
  }
}

int main() {
  for (const bool biased : {false, true}) {
    for (const int64_t depth : {1, 16, 17, 72, 128}) {
      for (const int64_t gap : {0, 8}) {
        test_attention<BF16>(5, 7, 1, depth, gap, biased);
        test_attention<BF16>(17, 16, 3, depth, gap, biased);
        test_attention<F16>(7, 3, 2, depth, gap, biased);
        test_attention<float>(8, 8, 0, depth, gap, biased);
      }
    }
  }
  for (const int64_t n : {4, 5, 63, 64, 65, 130}) {
    for (const int64_t p : {1, 31, 33, 513, 1030}) {
      for (const int64_t gap : {0, 3}) test_gram(n, p, gap);
    }
  }
  for (const int64_t n : {4, 65, 130, 257}) {
    for (const int64_t p : {1, 33, 130}) {
      for (const int64_t gap : {0, 3, 6}) {
        test_gram_fast<Math3xTF32>(n, p, gap, gap % 2, p == 33);
        test_gram_fast<MathBF16>(n, p, gap, gap % 2, p == 33);
        test_gram_fast<MathF16>(n, p, gap, gap % 2, p == 33);
      }
    }
  }
  for (const int64_t n : {4, 65, 130}) {
    test_centered_grams<Math3xTF32>(n, false);
    test_centered_grams<MathBF16>(n, true);
    test_centered_grams<MathF16>(n, false);
  }
  for (const int64_t la : {1, 63, 64, 65, 129}) {
    for (const int64_t lb : {1, 64, 70}) test_hsic(la, lb, 600);
  }
  for (const int64_t la : {1, 127, 128, 129}) {
    for (const int64_t m : {1, 7, 8, 600, 1025}) {
      for (const int64_t gap : {0, 3}) {
        test_hsic_fast(la, 70, m, gap, false);
        test_hsic_fast(la, la, m, gap, true);
      }
    }
  }
  std::puts("ok");
  return 0;
}
