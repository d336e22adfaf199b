// device_test: every kernel beside its own body on the host and beside float64; without torch.
//
//   device_test                  on the GPU: right? the same as on the host? how fast?
//   device_test --host           the host's side alone, beside float64
//   device_test --small          small inputs only, no times: under compute-sanitizer
//   device_test --list
//   device_test --only SUBSTRING of the names
//   device_test --spoil          one number of every result is made wrong: every case must fail
//
// A line for each case. Exit code: the number of cases that failed (at most 76); 77 without a GPU.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>

#include "numbers.h"

using namespace device_test;

namespace {

constexpr int kSkipped = 77, kMisused = 78;

struct Options {
  bool host = false, small = false, list = false, spoil = false;
  std::string only;
};

struct Verdict {
  bool ok;
  std::string text;
};

std::string format(const char* how, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), how, value);
  return text;
}

void spoil(Values& values) {
  double squares = 1e-30;
  for (const double value : values) squares += value * value;
  values[values.size() / 2] += std::sqrt(squares);
}

// Adds one comparison; NaN is above every limit.
void compare(Verdict& verdict, const char* with, double error, double limit) {
  const bool right = error <= limit;
  verdict.ok = verdict.ok && right;
  verdict.text += std::string(with) + " " + format("%.1e", error);
  if (!right) verdict.text += format(" > %.0e", limit);
}

// What a fast kernel is held against where the host would take too long: the simple one, on the
// GPU, with sums in f64.
Found by_simple(const Problem& fast) {
  Problem simple = fast;
  simple.wide = true;
  if (fast.op == Op::hsic_fast) simple.op = Op::hsic_simple;
  if (fast.op == Op::attention_fast) simple.op = Op::attention_simple;
  if (fast.op != Op::gram_fast) return on_device(simple, false);
  simple.op = Op::gram_simple;
  Found all;
  for (const AnyMatrix& x : fast.x) {
    simple.x = {x};
    const Found one = on_device(simple, false);
    if (!one.failure.empty()) return one;
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
  }
  all.values = centred(fast, all.values);
  return all;
}

bool is_fast(Op op) {
  return op == Op::gram_fast || op == Op::hsic_fast || op == Op::attention_fast;
}

void fail(Verdict& verdict, const std::string& why) {
  verdict.ok = false;
  verdict.text += " " + why;
}

// The large inputs: right there too, and the time.
void time_it(Verdict& verdict, const Case& test, bool spoiled) {
  Problem shape = test.problem;
  shape.shape = test.large_shape;
  shape.num_sms = device_sms();
  const std::vector<Numbers> inputs = draw(shape, test.large, test.ratio);
  const Problem problem = with(shape, inputs);
  Found found = on_device(problem, true);
  const Found expected = is_fast(problem.op) ? by_simple(problem) : Found{reference(problem)};
  if (!found.failure.empty() || !expected.failure.empty()) {
    return fail(verdict, "large: " + found.failure + expected.failure);
  }
  if (spoiled) spoil(found.values);
  compare(verdict, "; large", error(problem, found.values, expected.values), test.limit);
  verdict.text += format(", %.1f us", found.microseconds);
  verdict.text += format(", %.1f GB/s", found.bytes / found.microseconds / 1e3);
}

Verdict run(const Case& test, const Options& options) {
  Verdict verdict{true, ""};
  const std::vector<Numbers> inputs = draw(test.problem, test.small, test.ratio);
  const Problem problem = with(test.problem, inputs);
  const Values expected = reference(problem);
  Values host = on_host(problem);
  if (options.host) {
    if (options.spoil) spoil(host);
    compare(verdict, "error", error(problem, host, expected), test.limit);
    return verdict;
  }
  Found found = on_device(problem, false);
  if (!found.failure.empty()) {
    fail(verdict, found.failure);
    return verdict;
  }
  if (options.spoil) spoil(found.values);
  compare(verdict, "error", error(problem, found.values, expected), test.limit);
  compare(verdict, ", from the host's", error(problem, found.values, host), test.limit);
  if (found.values == host) {
    verdict.text += " (the same bits)";
  } else if (test.same_bits) {
    fail(verdict, "(other bits)");
  }
  if (!options.small && !test.large.empty()) time_it(verdict, test, options.spoil);
  return verdict;
}

bool parse(int count, char** words, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--host") {
      options.host = true;
    } else if (word == "--small") {
      options.small = true;
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--spoil") {
      options.spoil = true;
    } else if (word == "--only" && i + 1 < count) {
      options.only = words[++i];
    } else {
      std::fprintf(stderr,
                   "device_test: unknown: %s: --host --small --list --spoil --only SUBSTRING\n",
                   word.c_str());
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  if (!parse(count, words, options)) return kMisused;
  std::vector<Case> chosen;
  for (Case& test : cases()) {
    if (test.name.find(options.only) != std::string::npos) chosen.push_back(std::move(test));
  }
  if (chosen.empty()) {
    std::fprintf(stderr, "device_test: no case has '%s' in its name: see --list\n",
                 options.only.c_str());
    return kMisused;
  }
  if (options.list) {
    for (const Case& test : chosen) std::printf("%s\n", test.name.c_str());
    return 0;
  }
  if (!options.host) {
    if (const std::string why = no_device(); !why.empty()) {
      std::printf("device_test: no GPU (%s): nothing was run; --host runs the host's side\n",
                  why.c_str());
      return kSkipped;
    }
    std::printf("%s\n", device_name().c_str());
  }
  int failures = 0;
  for (const Case& test : chosen) {
    const Verdict verdict = run(test, options);
    failures += verdict.ok ? 0 : 1;
    std::printf("%-4s %-44s %s\n", verdict.ok ? "ok" : "FAIL", test.name.c_str(),
                verdict.text.c_str());
    std::fflush(stdout);
  }
  std::printf("%d of %zu failed\n", failures, chosen.size());
  return failures < kSkipped ? failures : kSkipped - 1;
}
