// What must come out, in float64, as the formulas are written.
#include <cmath>
#include <cstring>
#include <limits>

#include "problem.h"

namespace device_test {

namespace {

// By its definition, not by common/widen.h.
double half_of(uint16_t bits, int fraction, int bias) {
  const int exponent = (bits & 0x7fff) >> fraction, digits = bits & ((1 << fraction) - 1);
  const double size = exponent == 0
                          ? std::ldexp(digits, 1 - bias - fraction)
                          : std::ldexp(digits + (1 << fraction), exponent - bias - fraction);
  return bits & 0x8000 ? -size : size;
}

double element(const void* data, Element kind, int64_t i) {
  if (kind == Element::f64) return static_cast<const double*>(data)[i];
  if (kind == Element::f32) return static_cast<const float*>(data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(data)[i];
  return kind == Element::bf16 ? half_of(bits, 7, 127) : half_of(bits, 10, 15);
}

// (rows, columns), dense.
Values widened(const AnyMatrix& x, Element kind) {
  Values out(x.rows * x.columns);
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.columns; ++j) {
      out[i * x.columns + j] = element(x.data, kind, i * x.stride + j);
    }
  }
  return out;
}

double dot(const double* a, const double* b, int64_t count) {
  double sums[8] = {};
  for (int64_t k = 0; k < count; ++k) sums[k % 8] += a[k] * b[k];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// Packed, of x less its column means.
Values gram(const AnyMatrix& x, Element kind) {
  Values rows = widened(x, kind), out;
  for (int64_t j = 0; j < x.columns; ++j) {
    double mean = 0.0;
    for (int64_t i = 0; i < x.rows; ++i) mean += rows[i * x.columns + j];
    mean /= static_cast<double>(x.rows);
    for (int64_t i = 0; i < x.rows; ++i) rows[i * x.columns + j] -= mean;
  }
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      out.push_back(dot(&rows[i * x.columns], &rows[j * x.columns], x.columns));
    }
  }
  return out;
}

// Of a packed triangle with diagonal: docs/cka.md's two centrings.
Values centre(const Values& packed, int64_t n, bool biased) {
  Values whole(n * n), sums(n), out;
  double total = 0.0;
  for (int64_t i = 0, k = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j, ++k) whole[i * n + j] = whole[j * n + i] = packed[k];
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) sums[i] += biased || i != j ? whole[i * n + j] : 0.0;
    total += sums[i];
  }
  const auto size = static_cast<double>(n);
  const double one = biased ? size : size - 2, two = biased ? size * size : (size - 1) * (size - 2);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i + (biased ? 1 : 0); ++j) {
      const double value = whole[i * n + j] - (sums[i] + sums[j]) / one + total / two;
      out.push_back(i == j ? value : std::sqrt(2.0) * value);
    }
  }
  return out;
}

Values product(const Problem& problem) {
  const AnyMatrix &a = problem.x.front(), &b = problem.x.back();
  const Values left = widened(a, problem.kind), right = widened(b, problem.kind);
  Values out;
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < b.rows; ++j) {
      out.push_back(dot(&left[i * a.columns], &right[j * b.columns], a.columns));
    }
  }
  return out;
}

// Attention of one query to all keys.
Values attention_of(const Problem& problem, int64_t image, int64_t head, int64_t token) {
  const AttentionShape& s = problem.shape;
  const Strides q = strides_of(s, false), k = strides_of(s, true), b = bias_strides(s);
  Values p(s.tokens);
  double top = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (int64_t key = 0; key < s.tokens; ++key) {
    double z = 0.0;
    for (int64_t d = 0; d < s.depth; ++d) {
      const int64_t left = image * q.of[0] + head * q.of[1] + token * q.of[2] + d;
      const int64_t right =
          image * k.of[0] + head / (s.heads / s.key_heads) * k.of[1] + key * k.of[2] + d;
      z += element(problem.x[0].data, problem.kind, left) *
           element(problem.x[1].data, problem.kind, right);
    }
    z *= s.scale;
    if (problem.x.size() > 2) {
      const int64_t at = image * b.of[0] + head * b.of[1] + token * b.of[2] + key;
      z += element(problem.x[2].data, kind_of(problem, 2), at);
    }
    p[key] = z;
    top = std::fmax(top, z);
  }
  for (double& each : p) sum += each = std::exp(each - top);
  for (double& each : p) each /= sum;
  return p;
}

Values statistics(const Problem& problem) {
  const AttentionShape& s = problem.shape;
  Values out(5 * s.pairs());
  for (int64_t pair = 0; pair < s.pairs(); ++pair) {
    double raw = 0.0, relative = 0.0, all = 0.0, entropy = 0.0;
    for (int64_t query = 0; query < s.patches(); ++query) {
      const Values p = attention_of(problem, pair / s.heads, pair % s.heads, s.prefix + query);
      double mass = 0.0, distance = 0.0;
      for (int64_t key = 0; key < s.tokens; ++key) {
        if (p[key] > 0) entropy -= p[key] * std::log(p[key]);
        if (key < s.prefix) continue;
        const int64_t patch = key - s.prefix;
        const double dy = static_cast<double>(query / s.columns - patch / s.columns) * s.height;
        const double dx = static_cast<double>(query % s.columns - patch % s.columns) * s.width;
        mass += p[key];
        distance += p[key] * std::hypot(dy, dx);
      }
      raw += distance;
      relative += distance / mass;
      all += mass;
    }
    const double sums[5] = {raw, relative, all, entropy, 0.0};  // no query is left out
    for (int i = 0; i < 5; ++i) {
      out[i * s.pairs() + pair] = sums[i] / static_cast<double>(s.patches());
    }
  }
  return out;
}

// NaN where anything is not finite.
double frobenius(const Values& found, const Values& expected) {
  double squares = 0.0, size = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    squares += (found[i] - expected[i]) * (found[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  const double error = std::sqrt(squares / size);
  return std::isfinite(error) ? error : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Values centred(const Problem& problem, const Values& packed) {
  const int64_t n = problem.x[0].rows, size = n * (n + 1) / 2;
  Values out;
  for (size_t i = 0; i < problem.x.size(); ++i) {
    const auto begin = packed.begin() + static_cast<int64_t>(i) * size;
    const Values vector = centre({begin, begin + size}, n, true);
    out.insert(out.end(), vector.begin(), vector.end());
  }
  for (const AnyMatrix& x : problem.x) {
    const Values first = widened({x.data, 1, x.columns, x.stride}, problem.kind);
    out.push_back(std::sqrt(dot(first.data(), first.data(), x.columns)));
  }
  return out;
}

Values reference(const Problem& problem) {
  const AnyMatrix& x = problem.x[0];
  Values out;
  switch (problem.op) {
    case Op::gram_simple: return gram(x, problem.kind);
    case Op::gram_fast:
      for (const AnyMatrix& site : problem.x) {
        const Values packed = gram(site, problem.kind);
        out.insert(out.end(), packed.begin(), packed.end());
      }
      return centred(problem, out);
    case Op::center: return centre(widened(x, problem.kind), problem.n, problem.biased);
    case Op::hsic_simple:
    case Op::hsic_fast: return product(problem);
    case Op::attention_simple:
    case Op::attention_fast: return statistics(problem);
    case Op::class_row: break;
  }
  for (int64_t pair = 0; pair < problem.shape.pairs(); ++pair) {
    const AttentionShape& s = problem.shape;
    const Values p = attention_of(problem, pair / s.heads, pair % s.heads, 0);
    out.insert(out.end(), p.begin(), p.end());
  }
  return out;
}

double error(const Problem& problem, const Values& found, const Values& expected) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (found.size() != expected.size()) return kNaN;
  if (problem.op == Op::gram_fast) {
    const auto norms = static_cast<int64_t>(problem.x.size());
    const Values vectors(expected.begin(), expected.end() - norms);
    const Values last(expected.end() - norms, expected.end());
    const double of_vectors = frobenius({found.begin(), found.end() - norms}, vectors);
    const double of_norms = frobenius({found.end() - norms, found.end()}, last);
    return of_vectors > of_norms ? of_vectors : of_norms + 0.0 * of_vectors;  // NaN stays
  }
  if (problem.op < Op::attention_simple) return frobenius(found, expected);
  const AttentionShape& s = problem.shape;
  const double diagonal =
      std::hypot(static_cast<double>(s.rows) * s.height, static_cast<double>(s.columns) * s.width);
  const double entropy = 1.0 + std::log(static_cast<double>(s.tokens));
  const double units[5] = {diagonal, diagonal, 1.0, entropy, 1.0};
  double largest = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double unit = problem.op == Op::class_row ? 1.0 : units[i / s.pairs()];
    const double difference = std::fabs(found[i] - expected[i]) / unit;
    if (!std::isfinite(difference)) return kNaN;
    largest = std::fmax(largest, difference);
  }
  return largest;
}

}  // namespace device_test
