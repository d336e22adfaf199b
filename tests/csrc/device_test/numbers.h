// Matrices of random numbers as the kernels get them: any kind, any distance between rows.
#pragma once

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "problem.h"

namespace device_test {

// The nearest bf16 and f16, ties to even; finite numbers that the type can hold.
inline uint16_t bf16_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline uint16_t f16_of(float value) {
  const double size = std::fabs(value);
  const int exponent = size < 0x1p-14 ? -14 : std::ilogb(size);  // below: all spaced alike
  auto bits = static_cast<int64_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  if (size >= 0x1p-14) bits += (exponent + 14) * 1024;
  return static_cast<uint16_t>(bits | (std::signbit(value) ? 0x8000 : 0));
}

class Numbers {
 public:
  // Normal, column means of `ratio`; past kDrawn numbers they are repeated.
  Numbers(Element kind, const Shape& shape, double ratio, unsigned seed)
      : kind_(kind), shape_(shape), stride_(shape.columns + shape.gap) {
    const int64_t count = shape.gap + shape.rows * stride_, size = size_of(kind);
    storage_.resize((count * size + sizeof(Unit) - 1) / sizeof(Unit));
    std::mt19937 bits(seed);
    std::normal_distribution<float> normal(static_cast<float>(ratio), 1.0f);
    const int64_t drawn = count < kDrawn ? count : kDrawn;
    for (int64_t i = 0; i < drawn; ++i) put(i, normal(bits));
    for (int64_t i = drawn; i < count; i += drawn) {
      const int64_t more = count - i < drawn ? count - i : drawn;
      std::memcpy(start() + i * size, start(), more * size);
    }
  }

  const void* data() const { return storage_.data(); }
  int64_t bytes() const { return static_cast<int64_t>(storage_.size() * sizeof(Unit)); }
  // Of a copy of the storage at `base`.
  AnyMatrix view(const void* base) const {
    const auto* first = static_cast<const unsigned char*>(base) + shape_.gap * size_of(kind_);
    return {first, shape_.rows, shape_.columns, stride_};
  }

 private:
  static constexpr int64_t kDrawn = 1000003;  // prime: no two rows are alike
  struct alignas(16) Unit {
    unsigned char bytes[16];
  };

  unsigned char* start() { return storage_.data()->bytes; }

  void put(int64_t i, float value) {
    const double wide = value;
    const uint16_t half = kind_ == Element::bf16 ? bf16_of(value) : f16_of(value);
    const void* from = kind_ == Element::f64   ? static_cast<const void*>(&wide)
                       : kind_ == Element::f32 ? static_cast<const void*>(&value)
                                               : &half;
    std::memcpy(start() + i * size_of(kind_), from, size_of(kind_));
  }

  Element kind_;
  Shape shape_;
  int64_t stride_;
  std::vector<Unit> storage_;
};

inline std::vector<Numbers> draw(const Problem& problem, const std::vector<Shape>& shapes,
                                 double ratio) {
  std::vector<Numbers> found;
  for (size_t i = 0; i < shapes.size(); ++i) {
    found.emplace_back(kind_of(problem, i), shapes[i], ratio, static_cast<unsigned>(i + 1));
  }
  return found;
}

// The problem with its inputs where they were drawn.
inline Problem with(Problem problem, const std::vector<Numbers>& numbers) {
  problem.x.clear();
  for (const Numbers& each : numbers) problem.x.push_back(each.view(each.data()));
  return problem;
}

}  // namespace device_test
