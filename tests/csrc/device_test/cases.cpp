// The problems: every kernel that has a launch of its own, in every type, and on every path.
#include <cmath>

#include "problem.h"

namespace device_test {

namespace {

constexpr int64_t kLong = 200704;  // columns for the time: above any L2 from 128 rows of halves on

struct Math {
  std::string name;
  Element kind;
  bool tf32;
};
const Math kMaths[] = {{"bf16", Element::bf16, false},
                       {"f16", Element::f16, false},
                       {"tf32", Element::f32, true},
                       {"3xtf32", Element::f32, false}};
const Math kTypes[] = {{"f32", Element::f32, false},
                       {"bf16", Element::bf16, false},
                       {"f16", Element::f16, false},
                       {"f64", Element::f64, false}};

std::string shape_of(int64_t n, int64_t p) {
  return " " + std::to_string(n) + " x " + std::to_string(p);
}

// As the tests of the operators have them; f16 that is not shifted is cut more.
double gram_limit(const Math& math, double ratio) {
  if (math.tf32) return 2e-3;
  if (math.kind == Element::f64) return 1e-13;
  return math.kind == Element::f16 && ratio > 1 ? 1e-5 : 2e-6;
}

void add_simple_grams(std::vector<Case>& all) {
  for (const Math& math : kTypes) {
    for (const int64_t n : {65, 130}) {
      const double ratio = n == 65 ? 1.0 : 10.0;
      all.push_back({"gram simple " + math.name + shape_of(n, 1030),
                     {Op::gram_simple, math.kind},
                     {{n, 1030, 1}},
                     {{n, n == 65 ? 20000 : 10000, 0}},
                     {},
                     ratio,
                     gram_limit(math, 0.0),
                     true});
    }
  }
}

void add_fast_grams(std::vector<Case>& all) {
  for (const Math& math : kMaths) {
    const Problem problem{Op::gram_fast, math.kind, math.tf32};
    const auto add = [&](const std::string& what, const Shape& small, double ratio,
                         const std::vector<Shape>& large) {
      const std::string name = "gram fast " + math.name + shape_of(small.rows, small.columns);
      all.push_back({name + what, problem, {small}, large, {}, ratio, gram_limit(math, ratio)});
    };
    for (const int64_t n : {64, 128, 256, 300}) {
      add(", aligned", {n, 200, 0}, 0.0, {{n, kLong, 0}});
      add(", odd rows", {n, 203, 1}, 0.0, {{n, kLong - 1, 1}});
      add(", shifted", {n, 136, 0}, 10.0, {{n, kLong, 0}});
    }
    if (math.kind != Element::bf16) continue;
    all.push_back({"gram fast bf16, two passes over K",
                   {Op::gram_fast, Element::bf16, false, true, false, 0, 1},  // one multiprocessor
                   {{4, 513 * 64, 0}},
                   {},
                   {},
                   0.0,
                   gram_limit(math, 0.0)});
  }
}

void add_groups(std::vector<Case>& all) {
  for (const Math& math : kMaths) {
    for (const int64_t n : {64, 128, 256}) {
      std::vector<Shape> large(48, {n, 8192, 0});
      all.push_back({"group " + math.name + ", n = " + std::to_string(n),
                     {Op::gram_fast, math.kind, math.tf32},
                     {{n, 8, 0}, {n, 71, 1}, {n, 200, 0}},
                     large,
                     {},
                     1.0,
                     gram_limit(math, 1.0)});
    }
  }
}

void add_centres(std::vector<Case>& all) {
  struct Types {
    const char* name;
    Element kind;
    bool wide;
  };
  for (const auto& [name, kind, wide] :
       {Types{"f64 -> f64", Element::f64, true}, Types{"f64 -> f32", Element::f64, false},
        Types{"f32 -> f32", Element::f32, false}}) {
    for (const int64_t n : {100, 256, 300}) {
      const int64_t size = n * (n + 1) / 2;
      const bool biased = n != 256;
      all.push_back({std::string("center ") + (biased ? "biased " : "unbiased ") + name +
                         ", n = " + std::to_string(n),
                     {Op::center, kind, false, biased, wide, n},
                     {{1, size, 0}},
                     {{1, size, 0}},
                     {},
                     0.0,
                     wide ? 1e-13 : 1e-6});
    }
  }
}

void add_products(std::vector<Case>& all) {
  const std::vector<Shape> pair = {{65, 1030, 1}, {130, 1030, 0}}, one = {{130, 1028, 0}};
  const std::vector<Shape> large = {{200, 32640, 0}};
  const auto add = [&](const std::string& name, Op op, Element kind, double limit) {
    all.push_back({name + ", a b^T", {op, kind}, pair, {}, {}, 0.0, limit, true});
    all.push_back({name + ", a a^T", {op, kind}, one, large, {}, 0.0, limit, true});
  };
  add("hsic simple f32", Op::hsic_simple, Element::f32, 1e-6);
  add("hsic simple f64", Op::hsic_simple, Element::f64, 1e-13);
  add("hsic fast f32", Op::hsic_fast, Element::f32, 1e-6);
}

AttentionShape square(int64_t images, int64_t heads, int64_t side, int64_t depth) {
  return {images,
          heads,
          heads,
          1 + side * side,
          depth,
          side,
          side,
          1,
          1.0 / std::sqrt(static_cast<double>(depth)),
          16.0,
          16.0};
}

std::vector<Shape> inputs_of(const AttentionShape& s, bool biased) {
  const Shape rows{s.images * s.tokens * s.heads, s.depth, 0};
  const Shape bias{s.images * s.heads * s.tokens, s.tokens, 0};
  return biased ? std::vector{rows, rows, bias} : std::vector{rows, rows};
}

void add_attentions(std::vector<Case>& all) {
  const auto add = [&](const std::string& name, Op op, const Math& math, const AttentionShape& s,
                       const AttentionShape& large, bool biased) {
    Problem problem{op, math.kind};
    problem.shape = s;
    // Scores are below 4 here; each is a sum of D products in fp32.
    const double limit = math.kind == Element::f64 ? 1e-12 : 5e-6;
    const bool timed = large.tokens > 0;
    all.push_back({name + " " + math.name + ", T = " + std::to_string(s.tokens) +
                       ", D = " + std::to_string(s.depth) + (biased ? ", bias" : ""),
                   problem, inputs_of(s, biased),
                   timed ? inputs_of(large, biased) : std::vector<Shape>{}, large, 0.0, limit});
  };
  const AttentionShape none{};
  for (const Math& math : kTypes) {
    add("attention simple", Op::attention_simple, math, square(1, 2, 4, 20), square(1, 4, 14, 64),
        true);
    add("attention simple", Op::attention_simple, math, square(1, 2, 9, 64), none, false);
    add("class row", Op::class_row, math, square(1, 2, 9, 64), square(8, 12, 14, 64), true);
    if (size_of(math.kind) != 2) continue;
    for (const int64_t depth : {32, 64, 96, 128}) {
      const AttentionShape large = square(8, 12, 14, depth);
      add("attention fast", Op::attention_fast, math, square(1, 2, 7, depth), large, false);
      add("attention fast", Op::attention_fast, math, square(1, 2, 7, depth), large, true);
    }
    add("attention fast", Op::attention_fast, math, square(1, 1, 17, 64), square(2, 12, 32, 64),
        false);  // more than one block of queries
  }
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  add_simple_grams(all);
  add_fast_grams(all);
  add_groups(all);
  add_centres(all);
  add_products(all);
  add_attentions(all);
  return all;
}

}  // namespace device_test
