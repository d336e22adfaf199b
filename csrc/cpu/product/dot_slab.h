// Slabs of bf16 rows as the processor's dot instructions take them: for dot_kernels.h and
// tile_kernels.h. No include guard, as panel_kernels.h has none.
//
// A dot instruction multiplies bf16 numbers, and x less its mean is none. So, for each slab:
//
//   shift    the column mean rounded to bf16, where |mean| > 4 std (that of the column and its
//            pair's other one) and x - shift is a bf16 number in every row; elsewhere 0.
//   balance  what then remains of the means is, in every sum, the number M = sum of rest^2, which
//            centring drops: sums are lowered by it, so that they stay near 0, where fp32 has its
//            digits.
//   or not   a slab where M exceeds the columns' variances too far, or where products would be so
//            small that the instruction calls them 0, is another kernel's.
//
// Layout of a panel: pair[k / 2][row], the numbers of columns k (low half) and k + 1 of a row.

#include "cpu/vector/vectors.h"

#include "cpu/product/tiles.h"

namespace vitprobe {
namespace VP_ISA {

constexpr int L = kLanes<float>, W = VP_VECTORS * L;
constexpr int64_t kBlock = 2 * L;  // columns between two corrections: those of a square of pairs
constexpr int64_t kBlocks = kSlab / kBlock;
constexpr int64_t kPairs = kSlab / 2;
constexpr int kTurned = 8;  // rows at a time: a set of a cache holds 8 lines a power of two apart
constexpr float kTiny = 0x1p-90f;  // products 2^36 below these variances still count

// A number for each column of a slab: those of the even columns of a block, then of the odd ones.
struct Columns {
  F32 of[kBlocks][2];
};

inline F32 low(U32 pairs) { return (F32)(pairs << 16); }
inline F32 high(U32 pairs) { return (F32)(pairs & 0xffff0000u); }

inline float total(F32 v) { return _mm512_reduce_add_ps((__m512)v); }
inline bool is_zero(U32 v) { return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) == 0; }

inline F32 dot(F32 sum, U32 a, U32 b) {
  return (F32)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

// Pairs of 8 rows, as they lie, to a panel: of each of the 16 pairs its 8 rows. Shuffles within 16
// bytes are cheaper, so two steps of three are such.
inline void turn(const U32 (&rows)[kTurned], uint32_t* panel) {
  __m512i four[2][4];  // [rows 0-3 or 4-7][i]: these rows of the pairs i, 4 + i, 8 + i, 12 + i
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const U32* r = rows + 4 * h;
    const __m512i low01 = _mm512_unpacklo_epi32((__m512i)r[0], (__m512i)r[1]);
    const __m512i low23 = _mm512_unpacklo_epi32((__m512i)r[2], (__m512i)r[3]);
    const __m512i high01 = _mm512_unpackhi_epi32((__m512i)r[0], (__m512i)r[1]);
    const __m512i high23 = _mm512_unpackhi_epi32((__m512i)r[2], (__m512i)r[3]);
    four[h][0] = _mm512_unpacklo_epi64(low01, low23);
    four[h][1] = _mm512_unpackhi_epi64(low01, low23);
    four[h][2] = _mm512_unpacklo_epi64(high01, high23);
    four[h][3] = _mm512_unpackhi_epi64(high01, high23);
  }
  const auto put = [panel](int pair, __m512i two) {  // this pair and the fourth after it
    __m256i* to = reinterpret_cast<__m256i*>(panel + pair * W);
    _mm256_storeu_si256(to, _mm512_castsi512_si256(two));
    _mm256_storeu_si256(to + 4 * W / 8, _mm512_extracti64x4_epi64(two, 1));
  };
  const __m512i front = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
  const __m512i back = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    put(i, _mm512_permutex2var_epi64(four[0][i], front, four[1][i]));
    put(8 + i, _mm512_permutex2var_epi64(four[0][i], back, four[1][i]));
  }
}

// Where packed rows go: put(rows, k), of the first column, in what at(first) is for the first row.
struct Panels {
  uint32_t* panels;

  Panels at(int64_t first) const { return {panels + first / W * W * kPairs + first % W}; }
  void put(const U32 (&rows)[kTurned], int64_t k) const { turn(rows, panels + k / 2 * W); }
};

// For each kTurned rows of a block of columns: use(rows, block), then they are put.
template <class Packed, class Use>
inline void pack(const RowSet& x, Range columns, Packed packed, const Use& use) {
  const BF16* data = static_cast<const BF16*>(x.data) + columns.begin;
  const int64_t depth = columns.end - columns.begin;
  for (int64_t first = 0; first < tile_rows(x.rows, L) * L; first += kTurned) {
    const Packed to = packed.at(first);
    const auto block = [&](const BF16* from, int64_t stride, int64_t k) {
      U32 rows[kTurned];
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) __builtin_memcpy(&rows[r], from + r * stride, sizeof(U32));
      use(rows, k / kBlock);
      to.put(rows, k);
    };
    const BF16* from = data + first * x.stride;
    const int64_t present = x.rows - first < kTurned ? x.rows - first : kTurned;
    // The rows after these, or the first ones of the next slab.
    const BF16* next = first + kTurned < x.rows ? from + kTurned * x.stride : data + kSlab;
    int64_t k = 0;
    for (; present == kTurned && k + kBlock <= depth; k += kBlock) {
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) __builtin_prefetch(next + k + r * x.stride, 0, 2);
      block(from + k, x.stride, k);
    }
    for (; k < depth; k += kBlock) {  // zeros behind the last row and column
      const int64_t width = depth - k < kBlock ? depth - k : kBlock;
      BF16 edge[kTurned * kBlock] = {};
      for (int64_t r = 0; r < present; ++r) {
        __builtin_memcpy(edge + r * kBlock, from + r * x.stride + k, width * sizeof(BF16));
      }
      block(edge, kBlock, k);
    }
  }
}

// ---- one slab: packed, and judged

struct Slab {
  Columns mean, shift;
  float variances;             // added up
  float balance[kBlocks + 1];  // what is added to the sums before, between and after the blocks

  // Packs the slab as it lies, and chooses shifts; whether there are any.
  template <class Packed> bool measure(const RowSet& x, Range columns, Packed packed) {
    Columns sums = {};
    F32 squares[kBlocks] = {};                           // of both columns of a pair
    const U32 even = U32{} + 0x3f80u, odd = even << 16;  // a 1 for one column of a pair
    pack(x, columns, packed, [&](const U32(&rows)[kTurned], int64_t block) {
      F32 sum[2] = {sums.of[block][0], sums.of[block][1]}, squared = squares[block];
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) {
        sum[0] = dot(sum[0], rows[r], even);
        sum[1] = dot(sum[1], rows[r], odd);
        squared = dot(squared, rows[r], rows[r]);
      }
      sums.of[block][0] = sum[0], sums.of[block][1] = sum[1], squares[block] = squared;
    });
    const float part = 1.0f / static_cast<float>(x.rows);
    F32 added = {};
    U32 any = {};
    for (int64_t block = 0; block < kBlocks; ++block) {
      const F32 m[2] = {sums.of[block][0] * part, sums.of[block][1] * part};
      const F32 variance = squares[block] * part - m[0] * m[0] - m[1] * m[1];
      for (int i = 0; i < 2; ++i) {
        const U32 far = (U32)(m[i] * m[i] > 8.0f * variance), bits = (U32)m[i];
        const U32 rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
        mean.of[block][i] = m[i];
        shift.of[block][i] = (F32)(rounded & far);
        any |= far;
      }
      added += variance > F32{} ? variance : F32{};
    }
    variances = total(added);
    return !is_zero(any);
  }

  // Packs it less the shifts. Those that are not exact in every row become 0; whether none did.
  template <class Packed> bool pack_shifted(const RowSet& x, Range columns, Packed packed) {
    U32 inexact[kBlocks][2] = {}, any = {};
    pack(x, columns, packed, [&](U32(&rows)[kTurned], int64_t block) {
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) {
        const U32 even = (U32)(low(rows[r]) - shift.of[block][0]);
        const U32 odd = (U32)(high(rows[r]) - shift.of[block][1]);
        inexact[block][0] |= even & 0xffffu, inexact[block][1] |= odd & 0xffffu;
        rows[r] = even >> 16 | (odd & 0xffff0000u);
      }
    });
    for (int64_t i = 0; i < 2 * kBlocks; ++i) {
      const U32 kept = (U32)(inexact[i / 2][i % 2] == U32{});
      shift.of[i / 2][i % 2] = (F32)((U32)shift.of[i / 2][i % 2] & kept);
      any |= inexact[i / 2][i % 2];
    }
    return is_zero(any);
  }

  // Sets the balance; whether M is at most this many variances, and no product that counts is too
  // small.
  bool balanced(float most) {
    float before = 0, all = 0;
    for (int64_t block = 0; block < kBlocks; ++block) {
      const F32 even = mean.of[block][0] - shift.of[block][0];
      const F32 odd = mean.of[block][1] - shift.of[block][1];
      const float rest = total(even * even + odd * odd);
      balance[block] = -0.5f * (before + rest);
      before = rest;
      all += rest;
    }
    balance[kBlocks] = -0.5f * before;
    return all <= most * variances && variances >= kTiny;  // not so for NaN
  }
};

// multiply(slab, columns): for each slab that dots are right for, once it is packed; others are
// `other`'s. most: see Slab.
template <class Packed, class Multiply>
void add_slabs(const Product& product, Range slabs, Range tiles, double* sums, float most,
               const PanelProduct& other, Packed packed, const Multiply& multiply) {
  const RowSet& x = product.a;
  for (int64_t index = slabs.begin; index < slabs.end; ++index) {
    const Range columns = run_range(x.length, kSlab, index);
    Slab slab;
    const bool shifted = slab.measure(x, columns, packed);
    bool done = !shifted, fits = slab.balanced(most);
    while (fits && !done) {
      done = slab.pack_shifted(x, columns, packed);
      fits = done || slab.balanced(most);
    }
    if (fits) {
      multiply(slab, columns);
    } else {
      other.add(product, {index, index + 1}, tiles, sums);
    }
  }
}

inline bool for_dots(const Product& product) {
  return product.a.type == Element::bf16 && product.symmetric && product.shift;
}

}  // namespace VP_ISA
}  // namespace vitprobe
