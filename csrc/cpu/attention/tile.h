// What row_kernels.h does with the keys of a tile: packing, scores, running sums. Included by
// it, after cpu/vector/vectors.h.

namespace vitprobe {
namespace VP_ISA {

template <class T> constexpr int kPanel = VP_VECTORS * kLanes<T>;
constexpr int kRows = VP_ROWS;
template <class T> constexpr T kLeftOut = -static_cast<T>(__builtin_inf());  // score of such a key

// to[k step + i] = factor times number k of row i, for as many rows as a vector has lanes.
template <class T, class In>
inline void pack_rows(const In* const (&rows)[kLanes<T>], int64_t depth, T factor, T* to,
                      int64_t step) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < depth; k += L) {
    const int64_t width = depth - k < L ? depth - k : L;
    Vector<T> square[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      square[i] = (width == L ? load(rows[i] + k) : load_part<T>(rows[i] + k, width)) * factor;
    }
    transpose<T>(square);
    for (int64_t c = 0; c < width; ++c) {
      __builtin_memcpy(to + (k + c) * step, &square[c], sizeof square[c]);
    }
  }
}

// scores[r line + j] = sum over k of queries[k step + r] keys[k kPanel + j]: kRows rows, N vectors.
template <class T, int N>
inline void score_kernel(int64_t depth, const T* queries, int64_t step, const T* keys, T* scores,
                         int64_t line) {
  constexpr int L = kLanes<T>, W = kPanel<T>;
  Vector<T> sum[kRows][N];
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[r][v] = Vector<T>{};
  }
  for (int64_t k = 0; k < depth; ++k, queries += step, keys += W) {
    Vector<T> column[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) column[v] = load(keys + v * L);
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += queries[r] * column[v];
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      __builtin_memcpy(scores + r * line + v * L, &sum[r][v], sizeof sum[r][v]);
    }
  }
}

template <class T, int N = VP_VECTORS>
inline void score_panel(int64_t vectors, int64_t depth, const T* queries, int64_t step,
                        const T* keys, T* scores, int64_t line) {
  if (vectors == N) {
    score_kernel<T, N>(depth, queries, step, keys, scores, line);
  } else if constexpr (N > 1) {
    score_panel<T, N - 1>(vectors, depth, queries, step, keys, scores, line);
  }
}

template <class T> inline void add(T* to, const T* from, int64_t step, int64_t count) {
  if (step == 1) {
    for (int64_t i = 0; i < count; ++i) to[i] += from[i];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] += from[i * step];
  }
}

// ---- across a vector: log2(lanes) exchanges with the lane `distance` away

template <int Distance, class V, int... I>
inline V exchanged(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (I ^ Distance)...);
}

template <class T, int Distance = kLanes<T> / 2> inline T total(Vector<T> v) {
  if constexpr (Distance == 0) {
    return v[0];
  } else {
    constexpr std::make_integer_sequence<int, kLanes<T>> lanes;
    return total<T, Distance / 2>(v + exchanged<Distance>(v, lanes));
  }
}

template <class T, int Distance = kLanes<T> / 2> inline T largest(Vector<T> v) {
  if constexpr (Distance == 0) {
    return v[0];
  } else {
    constexpr std::make_integer_sequence<int, kLanes<T>> lanes;
    const Vector<T> other = exchanged<Distance>(v, lanes);
    return largest<T, Distance / 2>(v > other ? v : other);
  }
}

template <class T, int... I> inline Vector<T> counted(std::integer_sequence<int, I...>) {
  return Vector<T>{I...};
}

// e^x, and x raised to where e^x is as good as 0 and called 0. NaN stays NaN.
template <class T> inline Vector<T> weight_of(Vector<T>& x) {
  const auto low = x < Exp<T>::kLowest;
  x = low ? Vector<T>{} + Exp<T>::kLowest : x;
  const Vector<T> weight = exp_of<T>(x);
  return low ? Vector<T>{} : weight;
}

// Of one query, over the keys seen so far; weights are e^(score - max). A vector of keys at a time,
// where a GPU's lane has one (cuda/attention/parts.h, in base 2, which is its instruction).
template <class T> struct Running {
  T max = kLeftOut<T>;
  double patches = 0, others = 0;  // sums of weights
  double distance = 0, score = 0;  // sums of weight x distance, weight x (score - max)

  void raise(T larger) {
    if (max != kLeftOut<T>) {
      const double rise = static_cast<double>(max) - static_cast<double>(larger);
      const double factor = __builtin_exp(rise);
      score = factor * (score + rise * (patches + others));
      patches *= factor;
      others *= factor;
      distance *= factor;
    }
    max = larger;
  }

  // `count` scores, up to the next whole vector those of keys left out; the first `inside` are of
  // patches at these distances.
  void take(const T* scores, const T* distances, int64_t inside, int64_t count) {
    using V = Vector<T>;
    constexpr int L = kLanes<T>;
    constexpr std::make_integer_sequence<int, L> lanes;
    V top = V{} + kLeftOut<T>;
    for (int64_t j = 0; j < count; j += L) {
      const V s = load(scores + j);
      top = s > top ? s : top;  // not a NaN, which its weight passes on
    }
    const T larger = largest<T>(top);
    if (larger > max) raise(larger);
    const T shift = max == kLeftOut<T> ? T(0) : max;

    V near{}, far{}, scored{}, rest{};
    int64_t j = 0;
    for (; j + L <= inside; j += L) {
      V x = load(scores + j) - shift;
      const V weight = weight_of<T>(x);
      near += weight;
      far += weight * load(distances + j);
      scored += weight * x;
    }
    for (; j < count; j += L) {
      V x = load(scores + j) - shift;
      const V weight = weight_of<T>(x);
      const auto patch = counted<T>(lanes) < static_cast<T>(inside - j);
      near += patch ? weight : V{};
      rest += patch ? V{} : weight;
      if (j < inside) far += patch ? weight * load(distances + j) : V{};
      scored += weight * x;
    }
    patches += static_cast<double>(total<T>(near));
    others += static_cast<double>(total<T>(rest));
    distance += static_cast<double>(total<T>(far));
    score += static_cast<double>(total<T>(scored));
  }

  void add_to(AttentionSums& sums) const {
    const double all = patches + others;
    if (patches == 0) ++sums.left_out;
    if (all == 0) return;
    sums.distance_raw += distance / all;
    sums.mass += patches / all;
    sums.entropy += __builtin_log(all) - score / all;
    if (patches != 0) sums.distance += distance / patches;
  }
};

}  // namespace VP_ISA
}  // namespace vitprobe
