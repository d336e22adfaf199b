// Gram matrices of bf16 rows by the processor's dot instruction: two products a lane, summed in
// fp32. No include guard, as panel_kernels.h has none; everything else is AVX-512's.
//
// A dot instruction multiplies bf16 numbers, and x less its mean is none. So, for each slab:
//
//   shift    the column mean rounded to bf16, where |mean| > 4 std and x - shift is a bf16 number
//            in every row; elsewhere 0.
//   balance  what then remains of the means is, in every sum, the number M = sum of rest^2, which
//            centring drops: each sum begins at minus half of the M of 32 columns and is lowered
//            between them, so that it stays near 0, where fp32 has its digits.
//   or not   a slab where M exceeds the columns' variances, or where products would be so small
//            that the instruction calls them 0, is AVX-512's: widened, less the fp32 mean.
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

inline float total(F32 v) {
  float sum = 0;
  for (int i = 0; i < L; ++i) sum += v[i];
  return sum;
}

inline bool is_zero(U32 v) {
  uint32_t any = 0;
  for (int i = 0; i < L; ++i) any |= v[i];
  return any == 0;
}

// use(rows, block): for each kTurned rows of a block of columns, before they are turned.
template <class Use>
inline void pack(const RowSet& x, Range columns, uint32_t* panels, const Use& use) {
  const BF16* data = static_cast<const BF16*>(x.data) + columns.begin;
  const int64_t depth = columns.end - columns.begin;
  for (int64_t first = 0; first < tile_rows(x.rows, L) * L; first += kTurned) {
    uint32_t* panel = panels + first / W * W * kPairs + first % W;
    const int64_t present = x.rows - first < kTurned ? x.rows - first : kTurned;
    for (int64_t k = 0; k < depth; k += kBlock) {
      const int64_t width = depth - k < kBlock ? depth - k : kBlock;
      const BF16* from = data + first * x.stride + k;
      int64_t stride = x.stride;
      BF16 edge[kTurned * kBlock];
      if (present < kTurned || width < kBlock) {  // zeros behind the last row and column
        __builtin_memset(edge, 0, sizeof edge);
        for (int64_t r = 0; r < present; ++r) {
          __builtin_memcpy(edge + r * kBlock, from + r * stride, width * sizeof(BF16));
        }
        from = edge;
        stride = kBlock;
      } else {  // the rows after these, or the first ones of the next slab
        const BF16* next = first + kTurned < x.rows ? from + kTurned * stride : data + k + kSlab;
#pragma GCC unroll 16
        for (int r = 0; r < kTurned; ++r) __builtin_prefetch(next + r * stride, 0, 2);
      }
      U32 rows[kTurned];
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) __builtin_memcpy(&rows[r], from + r * stride, sizeof(U32));
      use(rows, k / kBlock);
      F32 turned[kTurned];
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) turned[r] = (F32)rows[r];
      transpose<float>(turned);
      uint32_t* pairs = panel + k / 2 * W;
#pragma GCC unroll 16
      for (int c = 0; c < L; ++c, pairs += W) {
        __builtin_memcpy(pairs, reinterpret_cast<const float*>(turned) + c * kTurned,
                         kTurned * sizeof(float));
      }
    }
  }
}

// ---- one slab: packed, and judged

struct Slab {
  Columns mean, shift;
  float variances;             // added up
  float balance[kBlocks + 1];  // what is added to the sums before, between and after the blocks

  // Packs the slab as it lies, and chooses shifts; whether there are any.
  bool measure(const RowSet& x, Range columns, uint32_t* panels) {
    Columns sums = {}, squares = {};
    pack(x, columns, panels, [&](U32(&rows)[kTurned], int64_t block) {
      F32 sum[2] = {sums.of[block][0], sums.of[block][1]};
      F32 squared[2] = {squares.of[block][0], squares.of[block][1]};
#pragma GCC unroll 16
      for (int r = 0; r < kTurned; ++r) {
        const F32 even = low(rows[r]), odd = high(rows[r]);
        sum[0] += even, squared[0] += even * even;
        sum[1] += odd, squared[1] += odd * odd;
      }
      sums.of[block][0] = sum[0], sums.of[block][1] = sum[1];
      squares.of[block][0] = squared[0], squares.of[block][1] = squared[1];
    });
    const float part = 1.0f / static_cast<float>(x.rows);
    F32 added = {};
    U32 any = {};
    for (int64_t i = 0; i < 2 * kBlocks; ++i) {
      const F32 m = sums.of[i / 2][i % 2] * part;
      const F32 variance = squares.of[i / 2][i % 2] * part - m * m;
      const U32 far = (U32)(m * m > 16.0f * variance), bits = (U32)m;
      const U32 rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
      mean.of[i / 2][i % 2] = m;
      shift.of[i / 2][i % 2] = (F32)(rounded & far);
      any |= far;
      added += variance > F32{} ? variance : F32{};
    }
    variances = total(added);
    return !is_zero(any);
  }

  // Packs it less the shifts. Those that are not exact in every row become 0; whether none did.
  bool pack_shifted(const RowSet& x, Range columns, uint32_t* panels) {
    U32 inexact[kBlocks][2] = {}, any = {};
    pack(x, columns, panels, [&](U32(&rows)[kTurned], int64_t block) {
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

  // Sets the balance; whether sums stay near it, and no product that counts is too small.
  bool balanced() {
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
    return all <= 2.0f * variances && variances >= kTiny;  // not so for NaN
  }
};

// ---- multiplying

struct Dots {
  static constexpr int kLanes = L;

  int64_t blocks;
  const uint32_t* panels;
  const float* balance;

  template <int N> void run(int64_t a_panel, int64_t b_panel, int64_t first, double* tile) const {
    const uint32_t* left = panels + a_panel * W * kPairs + first;
    const uint32_t* right = panels + b_panel * W * kPairs;
    F32 sum[kRows][N];
#pragma GCC unroll 32
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] = F32{} + balance[0];
    }
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t k = 0; k < kBlock / 2; ++k, left += W, right += W) {
        __m512i column[N];
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) column[v] = _mm512_loadu_si512(right + v * L);
#pragma GCC unroll 32
        for (int r = 0; r < kRows; ++r) {
          const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(left[r]));
#pragma GCC unroll 4
          for (int v = 0; v < N; ++v) {
            sum[r][v] = (F32)_mm512_dpbf16_ps((__m512)sum[r][v], pair, (__m512bh)column[v]);
          }
        }
      }
#pragma GCC unroll 32
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) sum[r][v] += balance[block + 1];
      }
    }
    add_block<float, N>(sum, tile);
  }
};

void add(const Product& product, Range slabs, Range tiles, double* sums) {
  const RowSet& x = product.a;
  if (x.type != Element::bf16 || !product.symmetric || !product.shift) {
    return avx512::kProduct.add(product, slabs, tiles, sums);
  }
  const Memory memory(tile_rows(x.rows, W) * W * kPairs * sizeof(uint32_t));
  uint32_t* panels = static_cast<uint32_t*>(memory.data);
  for (int64_t index = slabs.begin; index < slabs.end; ++index) {
    const Range columns = run_range(x.length, kSlab, index);
    Slab slab;
    const bool shifted = slab.measure(x, columns, panels);
    bool packed = !shifted, fits = slab.balanced();
    while (fits && !packed) {
      packed = slab.pack_shifted(x, columns, panels);
      fits = packed || slab.balanced();
    }
    if (fits) {
      const Dots kernel = {ceil_div(columns.end - columns.begin, kBlock), panels, slab.balance};
      add_tiles(kernel, x.rows, x.rows, true, tiles, sums);
    } else {
      avx512::kProduct.add(product, {index, index + 1}, tiles, sums);
    }
  }
}

const PanelProduct kProduct = {{W, VP_VECTORS * kLanes<double>}, &add};

}  // namespace VP_ISA
}  // namespace vitprobe
