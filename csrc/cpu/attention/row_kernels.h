// The code behind rows.h. No include guard: each cpu/attention/*.cpp includes it once,
// after choosing an instruction set and defining VP_ISA (a namespace), VP_VECTOR (bytes of a
// register) and VP_ROWS x VP_VECTORS (accumulators of the kernel of scores). Includes nothing that
// it could compile for that instruction set by accident.

#include "cpu/vector/vectors.h"

#include "cpu/vector/exp.h"

#include "cpu/attention/tile.h"

namespace vitprobe {
namespace VP_ISA {

// One thread's workspace, and the head that it works on: keys packed in panels, a block of queries
// packed beside each other, the scores of the block with a tile of keys, strips of distances.
template <class T, class In> class Head {
  static constexpr int L = kLanes<T>, W = kPanel<T>;
  static constexpr int64_t kBlock = 16, kTile = 8 * W;
  static constexpr int64_t kKept = 32768;  // numbers of strips that are all kept, if that is all
  static_assert(kBlock % L == 0 && kBlock % kRows == 0);

 public:
  explicit Head(const AttentionInput& input)
      : in(input),
        patches(input.patches()),
        strip_size((2 * input.rows - 1) * input.columns),
        strip_slots(slots(input)),
        keys_memory(ceil_div(input.tokens, W) * W * input.depth * sizeof(T)),
        block_memory((input.depth + kTile) * kBlock * sizeof(T)),
        strip_memory((strip_slots * strip_size + L) * sizeof(T)),
        column_memory(strip_slots * sizeof(int64_t)),
        keys(static_cast<T*>(keys_memory.data)),
        queries(static_cast<T*>(block_memory.data)),
        scores(queries + input.depth * kBlock),
        strips(static_cast<T*>(strip_memory.data)),
        strip_columns(static_cast<int64_t*>(column_memory.data)) {
    for (int64_t i = 0; i < strip_slots; ++i) strip_columns[i] = -1;
  }

  // Turns to head `index`, counted through the images.
  void choose(int64_t index) {
    const int64_t image = index / in.heads, head = index % in.heads;
    const int64_t key_head = head / (in.heads / in.key_heads);
    q = static_cast<const In*>(in.q) + image * in.q_stride[0] + head * in.q_stride[1];
    bias = in.bias == nullptr ? nullptr
                              : static_cast<const T*>(in.bias) + image * in.bias_stride[0] +
                                    head * in.bias_stride[1];
    if (image * in.key_heads + key_head == packed) return;
    packed = image * in.key_heads + key_head;
    const In* k = static_cast<const In*>(in.k) + image * in.k_stride[0] + key_head * in.k_stride[1];
    for (int64_t j = 0; j < in.tokens; j += L) {
      const In* rows[L];
      for (int i = 0; i < L; ++i) {  // behind the last key it once more, for nothing
        const int64_t key = j + i < in.tokens ? j + i : in.tokens - 1;
        rows[i] = k + token_of_key(key) * in.k_stride[2];
      }
      pack_rows<T>(rows, in.depth, T(1), keys + j / W * W * in.depth + j % W, W);
    }
  }

  // Over these patch queries, counted column of the grid after column.
  AttentionSums share(Range range) {
    AttentionSums sums = {};
    for (int64_t first = range.begin; first < range.end; first += kBlock) {
      const int64_t count = range.end - first < kBlock ? range.end - first : kBlock;
      pack_queries(count, [&](int64_t i) { return token_of_query(first + i); });
      Running<T> running[kBlock];
      for (int64_t begin = 0; begin < in.tokens; begin += kTile) {
        const Range tile = run_range(in.tokens, kTile, begin / kTile);
        const int64_t inside = patches < tile.end ? patches - tile.begin : tile.end - tile.begin;
        score(count, tile);
        for (int64_t i = 0; i < count; ++i) {
          T* line = scores + i * kTile;
          if (bias != nullptr) add_bias(line, token_of_query(first + i), tile);
          running[i].take(line, distances_of(first + i) + tile.begin, inside,
                          tile.end - tile.begin);
        }
      }
      for (int64_t i = 0; i < count; ++i) running[i].add_to(sums);
    }
    return sums;
  }

  // row[] = the attention of token 0 to all tokens, in their own order.
  void first_token(T* row) {
    pack_queries(1, [](int64_t) { return int64_t{0}; });
    for (int64_t begin = 0; begin < in.tokens; begin += kTile) {
      const Range tile = run_range(in.tokens, kTile, begin / kTile);
      score(1, tile);
      if (bias != nullptr) add_bias(scores, 0, tile);
      for (int64_t j = tile.begin; j < tile.end; ++j) row[token_of_key(j)] = scores[j - begin];
    }
    softmax(row, in.tokens);
  }

 private:
  static int64_t slots(const AttentionInput& in) {
    if ((2 * in.rows - 1) * in.columns * in.columns <= kKept) return in.columns;
    const int64_t of_a_block = kBlock / in.rows + 2;
    return of_a_block < in.columns ? of_a_block : in.columns;
  }

  int64_t token_of_key(int64_t key) const {
    return key < patches ? in.prefix + key : key - patches;
  }
  int64_t token_of_query(int64_t query) const {
    return in.prefix + query % in.rows * in.columns + query / in.rows;
  }

  template <class Token> void pack_queries(int64_t count, const Token& token) {
    for (int64_t first = 0; first < count; first += L) {
      const In* rows[L];
      for (int i = 0; i < L; ++i) {  // behind the last query it once more, for nothing
        rows[i] = q + token(first + i < count ? first + i : count - 1) * in.q_stride[2];
      }
      pack_rows<T>(rows, in.depth, static_cast<T>(in.scale), queries + first, kBlock);
    }
  }

  // The scores of the first `count` queries with the keys of a tile, up to a whole vector.
  void score(int64_t count, Range tile) {
    for (int64_t j = tile.begin; j < tile.end; j += W) {
      const int64_t vectors = (tile.end - j + L - 1) / L;
      for (int64_t i = 0; i < count; i += kRows) {
        score_panel<T>(vectors < VP_VECTORS ? vectors : VP_VECTORS, in.depth, queries + i, kBlock,
                       keys + j * in.depth, scores + i * kTile + (j - tile.begin), kTile);
      }
    }
    for (int64_t j = tile.end - tile.begin; j % L != 0; ++j) {
      for (int64_t i = 0; i < count; ++i) scores[i * kTile + j] = kLeftOut<T>;
    }
  }

  void add_bias(T* line, int64_t query, Range tile) const {
    const T* from = bias + query * in.bias_stride[2];
    const int64_t step = in.bias_stride[3], count = tile.end - tile.begin;
    const int64_t left = patches > tile.begin ? patches - tile.begin : 0;
    const int64_t here = left < count ? left : count;  // patches of this tile
    if (here > 0) add(line, from + token_of_key(tile.begin) * step, step, here);
    if (here < count) {
      add(line + here, from + token_of_key(tile.begin + here) * step, step, count - here);
    }
  }

  // Where the distances of a query to all patches lie, in their order.
  const T* distances_of(int64_t query) {
    const int64_t column = query / in.rows, slot = column % strip_slots, width = in.columns;
    T* strip = strips + slot * strip_size;
    if (strip_columns[slot] != column) {
      strip_columns[slot] = column;
      const T* from = static_cast<const T*>(in.distances) + width - 1 - column;
      for (int64_t y = 0; y < in.rows; ++y, from += 2 * width - 1) {
        __builtin_memcpy(strip + (in.rows - 1 - y) * width, from, width * sizeof(T));
        __builtin_memcpy(strip + (in.rows - 1 + y) * width, from, width * sizeof(T));
      }
    }
    return strip + (in.rows - 1 - query % in.rows) * width;
  }

  static void softmax(T* row, int64_t count) {
    using V = Vector<T>;
    const auto each = [&](auto&& use) {
      for (int64_t j = 0; j < count; j += L) {
        const int64_t width = count - j < L ? count - j : L;
        V v = V{} + kLeftOut<T>;
        __builtin_memcpy(&v, row + j, width * sizeof(T));
        use(v);
        __builtin_memcpy(row + j, &v, width * sizeof(T));
      }
    };
    V top = V{} + kLeftOut<T>, sum{};
    each([&](V& v) { top = v > top ? v : top; });
    const T max = largest<T>(top), shift = max == kLeftOut<T> ? T(0) : max;
    each([&](V& v) {
      V x = v - shift;
      v = weight_of<T>(x);
      sum += v;
    });
    const T all = total<T>(sum), share = all == 0 ? T(0) : T(1) / all;  // 0: no key was left
    each([&](V& v) { v = v * share; });
  }

  const AttentionInput& in;
  const int64_t patches, strip_size, strip_slots;
  const Memory keys_memory, block_memory, strip_memory, column_memory;
  T *const keys, *const queries, *const scores, *const strips;
  int64_t* const strip_columns;  // which column each slot holds
  const In* q = nullptr;
  const T* bias = nullptr;
  int64_t packed = -1;  // the head of keys, counted through the images, that is packed
};

template <class T, class In>
void run_as(const AttentionInput& input, int64_t shares, Range tasks, AttentionSums* sums) {
  Head<T, In> head(input);
  for (int64_t task = tasks.begin; task < tasks.end; ++task) {
    const int64_t index = task / shares;
    head.choose(index);
    sums[task] = head.share(share_range(input.patches(), shares, task % shares));
    if (input.class_row != nullptr && task % shares == 0) {
      head.first_token(static_cast<T*>(input.class_row) + index * input.tokens);
    }
  }
}

void run(const AttentionInput& input, int64_t shares, Range tasks, AttentionSums* sums) {
  with_type<float, double, BF16, F16>(input.type, [&](auto element) {
    using In = decltype(element);
    run_as<Widened<In>, In>(input, shares, tasks, sums);
  });
}

const AttentionRows kAttention = {&run};

}  // namespace VP_ISA
}  // namespace vitprobe
