// exp of a vector, for x in [kLowest, 0] and NaN; below, the caller's business. Included once, as
// vectors.h is, and after it.
//
//   x = n ln 2 + r, |r| <= ln(2) / 2;  e^x = 2^n (1 + r + r^2 P(r)), relative error below 2e-7
//   (float; P is a minimax polynomial) and 4e-16 (double; the Taylor series to r^13).

namespace vitprobe {
namespace VP_ISA {

typedef uint64_t U64 __attribute__((vector_size(VP_VECTOR)));

template <class T> struct Exp;

template <> struct Exp<float> {
  using Bits = U32;
  static constexpr float kLowest = -87.0f;      // e^-87 is a normal number
  static constexpr float kRound = 12582912.0f;  // 1.5 x 2^23: adding it rounds to an integer
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr int kFraction = 23, kOne = 127, kTerms = 5;
  static constexpr float kP[kTerms] = {0.49999993f, 0.16666521f, 0.04166839f, 0.00836872f,
                                       0.00138146f};
};

template <> struct Exp<double> {
  using Bits = U64;
  static constexpr double kLowest = -708.0;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 x 2^52
  static constexpr double kLn2High = 6.93147180369123816490e-01;
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr int kFraction = 52, kOne = 1023, kTerms = 12;
  static constexpr double kP[kTerms] = {
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
  };
};

template <class T> inline Vector<T> exp_of(Vector<T> x) {
  using E = Exp<T>;
  using Bits = typename E::Bits;
  const Vector<T> rounded = x * T(1.4426950408889634) + E::kRound;
  const Vector<T> n = rounded - E::kRound;
  const Vector<T> r = (x - n * E::kLn2High) - n * E::kLn2Low;
  Vector<T> p = Vector<T>{} + E::kP[E::kTerms - 1];
#pragma GCC unroll 16
  for (int i = E::kTerms - 2; i >= 0; --i) p = p * r + E::kP[i];
  p = (p * r + T(1)) * r + T(1);
  // The integer n lies in the lowest bits of `rounded`; those above are shifted out.
  const Bits power =
      ((Bits)rounded << E::kFraction) + ((Bits{} + static_cast<unsigned>(E::kOne)) << E::kFraction);
  return p * (Vector<T>)power;
}

}  // namespace VP_ISA
}  // namespace vitprobe
