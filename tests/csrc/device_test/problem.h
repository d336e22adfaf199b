// device_test: one problem for one operator's kernel, what must come out of it, and who computes
// it.
//
//   cases.cpp           which problems
//   numbers.h           their inputs
//   reference.cpp       what must come out, in float64 and without any of csrc's code
//   host_*.cpp          the device's bodies, run on the host (csrc/host)
//   device.cu           the kernels, on the GPU, checked and timed; no_device.cpp: not built
//   main.cpp            the command
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/element.h"
#include "cuda/attention/parts.h"
#include "cuda/matrix.h"

namespace device_test {

using vitprobe::Element;
using vitprobe::kernels::AnyMatrix;
using vitprobe::kernels::AttentionShape;

inline int size_of(Element kind) { return kind == Element::f64 ? 8 : kind == Element::f32 ? 4 : 2; }

enum class Op {
  gram_simple,       // x                 -> packed lower triangle, wide: in f64
  gram_fast,         // x of each site    -> (sites, n(n+1)/2), centred, biased; then the norm of
                     //                      every site's first example
  center,            // a packed triangle -> centred; biased or not, wide or not
  hsic_simple,       // a, b, or a alone  -> a b^T or a a^T
  hsic_fast,         //
  attention_simple,  // q, k or q, k, bias -> (5, pairs)
  attention_fast,    //
  class_row          // the same          -> (pairs, tokens)
};

struct Problem {
  Op op;
  Element kind;        // of x; of a bias f64 for f64, else f32
  bool tf32 = false;   // f32 multiplied in TF32; else by 3xTF32
  bool biased = true;  // center
  bool wide = false;   // results in f64
  int64_t n = 0;       // center
  int64_t num_sms = 3;
  AttentionShape shape{};         // attention; q and k lie as (images, tokens, heads, depth)
  std::vector<AnyMatrix> x = {};  // as Op says
};

inline Element kind_of(const Problem& problem, size_t input) {
  if (input < 2 || problem.op < Op::attention_simple) return problem.kind;
  return problem.kind == Element::f64 ? Element::f64 : Element::f32;
}

// Elements from one to the next of (images, heads, tokens, depth); of a bias, contiguous.
struct Strides {
  int64_t of[4];
};
inline Strides strides_of(const AttentionShape& shape, bool keys) {
  const int64_t heads = keys ? shape.key_heads : shape.heads;
  return {{shape.tokens * heads * shape.depth, shape.depth, heads * shape.depth, 1}};
}
inline Strides bias_strides(const AttentionShape& shape) {
  const int64_t all = shape.tokens * shape.tokens;
  return {{shape.heads * all, all, shape.tokens, 1}};
}

using Values = std::vector<double>;

Values reference(const Problem& problem);
Values on_host(const Problem& problem);
Values attention_on_host(const Problem& problem);

// gram_fast's result, from each site's packed Gram matrix in turn.
Values centred(const Problem& problem, const Values& packed);

// Frobenius-relative, of gram_fast the vectors' or the norms', whichever is larger; of attention
// the largest difference, distances in parts of the grid's diagonal, entropies of log T. NaN where
// anything is not finite.
double error(const Problem& problem, const Values& found, const Values& expected);

struct Shape {
  int64_t rows, columns;
  int gap;  // elements between rows, and before the first
};

// A kernel, small for the host beside it, and large for the time; no large shapes: not timed.
struct Case {
  std::string name;
  Problem problem;
  std::vector<Shape> small, large;
  AttentionShape large_shape{};
  double ratio = 0.0;      // column means over standard deviations
  double limit = 0.0;      // of the error
  bool same_bits = false;  // the same fp32 operations on host and device, fused alike
};

std::vector<Case> cases();

// What the device found, and how long it took.
struct Found {
  Values values = {};
  double microseconds = 0.0;
  double bytes = 0.0;        // read once and written once
  std::string failure = "";  // "" or the runtime's words
};

std::string no_device();  // "" or why there is none
std::string device_name();
Found on_device(const Problem& problem, bool timed);
int64_t device_sms();

}  // namespace device_test
