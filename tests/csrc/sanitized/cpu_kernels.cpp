// The CPU kernels over odd shapes, for the address and undefined-behaviour sanitizers: every buffer
// ends where its last number does, so that one element too far ends the program. All instruction
// sets that this processor has are run. The results are compared with plain loops.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "cpu/attention/rows.h"
#include "cpu/gram/center_pack.h"
#include "cpu/product/panels.h"

namespace vitprobe {

static const PanelProduct* chosen_product;  // instead of the best: each in its turn

#if VP_X86_TARGETS
namespace amx_modelled {
extern const PanelProduct kProduct;
}
#endif

static const PanelProduct& this_product() { return *chosen_product; }

}  // namespace vitprobe

#define panel_product this_product
#include "cpu/product/parallel.h"
#undef panel_product

using namespace vitprobe;

static long checks = 0;

static void expect_near(double value, double expected, double scale, const char* what) {
  ++checks;
  if (std::abs(value - expected) <= 2e-5 * (1 + scale)) return;
  std::printf("%s: %.9g, expected %.9g\n", what, value, expected);
  std::exit(1);
}

// Small numbers that every type holds exactly.
static float number(int64_t i, int64_t c) { return static_cast<float>((i * 7 + c * 3) % 5 - 1); }

static int64_t size_of(Element type) {
  return type == Element::f64 ? 8 : type == Element::f32 ? 4 : 2;
}

static void put(unsigned char* to, Element type, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const double wide = value;
  uint16_t half = static_cast<uint16_t>(bits >> 16);  // bf16
  if (type == Element::f16) {
    const uint32_t exponent = bits >> 23 & 0xff;
    half = value == 0 ? 0
                      : static_cast<uint16_t>((bits >> 31) << 15 | (exponent - 112) << 10 |
                                              (bits >> 13 & 0x3ff));
  }
  switch (type) {
    case Element::f64: std::memcpy(to, &wide, 8); break;
    case Element::f32: std::memcpy(to, &value, 4); break;
    default: std::memcpy(to, &half, 2);
  }
}

// n rows of p numbers, `gap` apart; the last row has no gap behind it. `offset` bytes of the
// buffer come before the first: any alignment that the type itself allows.
struct Made {
  std::unique_ptr<unsigned char[]> bytes;
  RowSet rows;

  Made(int64_t n, int64_t p, int64_t gap, Element type) {
    const int64_t stride = p + gap, each = size_of(type);
    const int64_t count = n == 0 || p == 0 ? 0 : (n - 1) * stride + p;
    bytes.reset(new unsigned char[(count + 1) * each]);
    unsigned char* data = bytes.get() + each;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < p; ++c) put(data + (i * stride + c) * each, type, number(i, c));
    }
    rows = {data, n, p, stride, type};
  }
};

static void test_gram(int64_t n, int64_t p, int64_t gap, Element type) {
  const Made x(n, p, gap, type);
  const std::unique_ptr<double[]> packed(new double[packed_size(n, true)]);
  threads = 1 + n % 5;
  multiply({x.rows, x.rows, true, true},
           [&](int64_t i, int64_t j, int64_t columns, const double* sums) {
             std::copy(sums, sums + columns, packed.get() + packed_index(i, j, true));
           });
  if (type == Element::bf16) {  // shifted by what is not quite the mean
    const std::vector<double> shifted(packed.get(), packed.get() + packed_size(n, true));
    subtract_mean(shifted.data(), n, packed.get());
  }
  std::vector<double> mean(p, 0.0);
  for (int64_t c = 0; c < p; ++c) {
    for (int64_t i = 0; i < n; ++i) mean[c] += number(i, c) / static_cast<double>(n);
  }
  for (int64_t i = 0; i < n; i += 1 + n / 9) {
    for (int64_t j = 0; j <= i; j += 1 + n / 9) {
      double expected = 0.0;
      for (int64_t c = 0; c < p; ++c) {
        expected += (number(i, c) - mean[c]) * (number(j, c) - mean[c]);
      }
      expect_near(packed[packed_index(i, j, true)], expected, static_cast<double>(p), "gram");
    }
  }
  for (const bool biased : {false, true}) {
    const int64_t length = packed_size(n, biased);
    const std::unique_ptr<float[]> centred(new float[length]);
    if (n > 2) center_pack(packed.get(), n, biased, centred.get());
  }
}

static void test_hsic(int64_t left, int64_t right, int64_t m, int64_t gap, Element type) {
  const Made a(left, m, gap, type), b(right, m, gap, type);
  const std::unique_ptr<double[]> sums(new double[left * right]());
  if (left == 0 || right == 0 || m == 0) return;  // as the operator does
  multiply({a.rows, b.rows, false, false},
           [&](int64_t i, int64_t j, int64_t columns, const double* values) {
             for (int64_t c = 0; c < columns; ++c) sums[i * right + j + c] += values[c];
           });
  for (int64_t i = 0; i < left; i += 1 + left / 9) {
    for (int64_t j = 0; j < right; j += 1 + right / 9) {
      double expected = 0.0;
      for (int64_t c = 0; c < m; ++c) expected += static_cast<double>(number(i, c)) * number(j, c);
      expect_near(sums[i * right + j], expected, static_cast<double>(m), "hsic");
    }
  }
}

template <class T>
static void test_attention_of(const AttentionRows& kernel, int64_t rows, int64_t columns,
                              int64_t prefix, int64_t depth, int64_t gap, bool with_bias,
                              Element type) {
  const int64_t heads = 2, tokens = prefix + rows * columns;
  const Made q(heads * tokens, depth, gap, type), k(tokens, depth, gap, type);
  std::vector<T> distances(rows * (2 * columns - 1));
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 1 - columns; x < columns; ++x) {
      distances[y * (2 * columns - 1) + x + columns - 1] = static_cast<T>(std::hypot(y, x));
    }
  }
  const std::unique_ptr<T[]> bias(new T[heads * tokens * tokens]());
  const std::unique_ptr<T[]> row(new T[heads * tokens]);
  AttentionInput in = {};
  in.q = q.rows.data;
  in.k = k.rows.data;
  in.type = type;
  in.images = 1, in.heads = heads, in.key_heads = 1, in.tokens = tokens, in.depth = depth;
  in.q_stride[0] = heads * tokens * (depth + gap), in.q_stride[1] = tokens * (depth + gap);
  in.k_stride[0] = in.k_stride[1] = tokens * (depth + gap);
  in.q_stride[2] = in.k_stride[2] = depth + gap;
  in.scale = 0.25;
  in.rows = rows, in.columns = columns, in.prefix = prefix;
  in.distances = distances.data();
  in.class_row = row.get();
  if (with_bias) {
    in.bias = bias.get();
    const int64_t strides[] = {heads * tokens * tokens, tokens * tokens, tokens, 1};
    std::copy(strides, strides + 4, in.bias_stride);
  }
  const int64_t shares = attention_shares(in);
  const std::unique_ptr<AttentionSums[]> sums(new AttentionSums[heads * shares]);
  kernel.run(in, shares, {0, heads * shares}, sums.get());

  for (int64_t head = 0; head < heads; ++head) {
    double mass = 0, distance = 0, expected_mass = 0, expected = 0, all_of_row = 0;
    for (int64_t s = 0; s < shares; ++s) {
      mass += sums[head * shares + s].mass;
      distance += sums[head * shares + s].distance_raw;
    }
    for (int64_t i = 0; i < rows * columns; ++i) {
      double all = 0, near = 0, far = 0;
      for (int64_t j = 0; j < tokens; ++j) {
        double score = 0;
        for (int64_t d = 0; d < depth; ++d) {
          score += 0.25 * number(head * tokens + prefix + i, d) * number(j, d);
        }
        all += std::exp(score);
        if (j < prefix) continue;
        near += std::exp(score);
        const int64_t key = j - prefix;
        far +=
            std::exp(score) * std::hypot(i / columns - key / columns, i % columns - key % columns);
      }
      expected_mass += near / all;
      expected += far / all;
    }
    expect_near(mass, expected_mass, expected_mass, "mass");
    expect_near(distance, expected, expected, "distance_raw");
    for (int64_t j = 0; j < tokens; ++j) all_of_row += row[head * tokens + j];
    expect_near(all_of_row, 1.0, 1.0, "class_row");
  }
}

static void test_products(const PanelProduct& panels, std::vector<Element> types) {
  const int64_t ns[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 257};
  const int64_t ps[] = {0, 1, 2, 3, 255, 256, 257};
  chosen_product = &panels;
  for (const Element type : types) {
    for (const int64_t gap : {0, 1, 5}) {
      for (const int64_t n : ns) {
        for (const int64_t p : ps) {
          if (n == 257 && gap == 1) continue;
          test_gram(n, p, gap, type);
        }
      }
      for (const int64_t left : {0, 1, 7, 65}) {
        for (const int64_t right : {0, 1, 9, 63}) {
          for (const int64_t m : {0, 1, 3, 255, 257, 2100}) test_hsic(left, right, m, gap, type);
        }
      }
    }
  }
}

static void test_all(const PanelProduct& panels, const AttentionRows& attention) {
  const Element types[] = {Element::f32, Element::f64, Element::bf16, Element::f16};
  test_products(panels, {types, types + 4});
  for (const Element type : types) {
    for (const int64_t gap : {0, 1, 5}) {
      for (const int64_t rows : {1, 2, 7, 13}) {
        for (const int64_t columns : {1, 3, 8}) {
          for (const int64_t prefix : {0, 1, 5}) {
            for (const int64_t depth : {1, 3, 16, 33}) {
              const bool bias = (rows + columns + prefix + depth) % 2;
              if (type == Element::f64) {
                test_attention_of<double>(attention, rows, columns, prefix, depth, gap, bias, type);
              } else {
                test_attention_of<float>(attention, rows, columns, prefix, depth, gap, bias, type);
              }
            }
          }
        }
      }
    }
  }
}

int main() {
  test_all(base::kProduct, base::kAttention);
#if VP_X86_TARGETS
  if (has_avx2()) test_all(avx2::kProduct, avx2::kAttention);
  if (has_avx512()) test_all(avx512::kProduct, avx512::kAttention);
  if (has_avx512_bf16()) test_products(avx512_bf16::kProduct, {Element::bf16});
  if (has_avx512_bf16()) test_products(amx_modelled::kProduct, {Element::bf16});
  if (has_amx_bf16()) test_products(amx_bf16::kProduct, {Element::bf16});
#endif
  std::printf("%ld numbers are right\n", checks);
}
