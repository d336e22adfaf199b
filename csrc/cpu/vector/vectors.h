// Vectors of one instruction set: reading, widening, transposing. No include guard: it belongs to
// cpu/product/panel_kernels.h and cpu/attention/row_kernels.h, which a file includes once, after
// choosing an instruction set and defining VP_ISA (a namespace) and VP_VECTOR (bytes of a
// register).

namespace vitprobe {
namespace VP_ISA {

typedef float F32 __attribute__((vector_size(VP_VECTOR)));
typedef double F64 __attribute__((vector_size(VP_VECTOR)));
typedef uint32_t U32 __attribute__((vector_size(VP_VECTOR)));
typedef uint16_t U16 __attribute__((vector_size(VP_VECTOR / 2)));

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  using type = F32;
  typedef float half __attribute__((vector_size(VP_VECTOR / 2)));
};
template <> struct VectorOf<double> {
  using type = F64;
  typedef double half __attribute__((vector_size(VP_VECTOR / 2)));
};
template <class T> using Vector = typename VectorOf<T>::type;
template <class T> using HalfVector = typename VectorOf<T>::half;

template <class T> constexpr int kLanes = VP_VECTOR / sizeof(T);

// ---- reading: any alignment, widened to the type that is computed in

template <class T> inline Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

inline F32 load(const BF16* from) {
  U16 bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return (F32)(__builtin_convertvector(bits, U32) << 16);
}

// The exponent is rebiased by a multiplication, which also normalises subnormal numbers.
inline F32 load(const F16* from) {
  U16 half;
  __builtin_memcpy(&half, from, sizeof half);
  const U32 bits = __builtin_convertvector(half, U32), magnitude = bits & 0x7fffu;
  const F32 value = (F32)(magnitude << 13) * 0x1p112f;
  const U32 not_finite = (U32)(magnitude >= 0x7c00u) & 0x7f800000u;
  return (F32)((U32)value | not_finite | (bits & 0x8000u) << 16);
}

template <class T, class In> inline Vector<T> load_part(const In* from, int64_t count) {
  In buffer[kLanes<T>] = {};
  __builtin_memcpy(buffer, from, count * sizeof(In));
  return load(buffer);
}

// ---- transposing R rows of a vector each, R a power of two: log2(R) identical perfect shuffles.
// Vector i then holds columns i L / R, i L / R + 1, ..., R numbers each.

template <class V, int... I> inline V zip_low(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * (int)sizeof...(I))...);
}
template <class V, int... I> inline V zip_high(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (L / 2 + I / 2 + (I % 2) * L)...);
}

template <class T, int R> inline void transpose(Vector<T> (&rows)[R]) {
  constexpr std::make_integer_sequence<int, kLanes<T>> lanes;
#pragma GCC unroll 4
  for (int stage = 1; stage < R; stage *= 2) {
    Vector<T> next[R];
#pragma GCC unroll 16
    for (int i = 0; i < R / 2; ++i) {
      next[2 * i] = zip_low(rows[i], rows[i + R / 2], lanes);
      next[2 * i + 1] = zip_high(rows[i], rows[i + R / 2], lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) rows[i] = next[i];
  }
}

// ---- memory that a vector may lie in at any multiple of its size

struct Memory {
  void* data;
  explicit Memory(int64_t bytes) : data(::operator new(bytes, std::align_val_t(64))) {}
  ~Memory() { ::operator delete(data, std::align_val_t(64)); }
};

}  // namespace VP_ISA
}  // namespace vitprobe
