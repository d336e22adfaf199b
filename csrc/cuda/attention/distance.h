// How far apart two patches are, for the fast attention kernel: looked up, or computed.
//
//   FarTable     |pos_i - pos_j| for every (dy, dx), both signs, in shared memory. The place of a
//                pair is a number of the query less a number of the key: one subtraction and one
//                load. Neighbouring queries and keys have neighbouring places: no bank conflict
//                but where a row of the grid ends.
//   FarPairs     the same for grids with an even number of columns, where two neighbouring keys
//                lie in one row: one subtraction and one load of 8 bytes for both. They are aligned
//                for every second query; the others have a table of their own, moved by one.
//   FarComputed  from coordinates, for grids whose table is too large. They are whole numbers,
//                subtracted before they are scaled: neighbours far from the origin stay exact.
//
// Each says what is kept of a query (Query, in registers), of a key (Key, beside its stage), and
// how far a query is from four neighbouring keys, of which the first is the fourth of all.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/parts.h"
#include "cuda/device/warps.h"

namespace vitprobe::kernels {

constexpr int kFarPlaces = 4096;  // floats of a table: grids of 32 x 32 patches and below
constexpr int kLaneKeys = 4;      // neighbours, whose scores one lane gets

#if defined(__CUDACC__)
__device__ inline float fast_root(float x) {
  float y;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
inline float fast_root(float x) { return std::sqrt(x); }
#endif

// Where something lies in a grid, and where what comes `count` later does, without a division.
struct GridPlace {
  int y, x;
};
struct GridStep {
  int columns, y, x;

  GridStep(int count, int columns_) : columns(columns_), y(count / columns_), x(count % columns_) {}

  VP_DEVICE GridPlace from(GridPlace at) const {
    const bool wraps = at.x + x >= columns;
    return {at.y + y + (wraps ? 1 : 0), at.x + x - (wraps ? columns : 0)};
  }
};

// n / divisor for 0 <= n < 2^31 and 0 < divisor < 2^31, by a multiplication (Granlund and
// Montgomery 1994, figure 4.1).
struct Divider {
  uint32_t multiplier;
  int shift;

  explicit Divider(int64_t divisor) : shift(0) {
    while (int64_t{1} << shift < divisor) ++shift;
    const int64_t rest = (int64_t{1} << shift) - divisor;
    multiplier = static_cast<uint32_t>((rest << 32) / divisor + 1);
  }
  VP_HD int of(int n) const {
    const auto dividend = static_cast<uint32_t>(n);
    const auto high = static_cast<uint32_t>(uint64_t{dividend} * multiplier >> 32);
    return static_cast<int>((high + dividend) >> shift);
  }
};

// Patches of a row and of a column, and their size.
struct FarGrid {
  int rows, columns;
  Divider by_columns;
  float height, width;

  explicit FarGrid(const AttentionShape& shape)
      : rows(static_cast<int>(shape.rows)),
        columns(static_cast<int>(shape.columns)),
        by_columns(shape.columns),
        height(static_cast<float>(shape.height)),
        width(static_cast<float>(shape.width)) {}

  VP_DEVICE GridPlace place(int patch) const {
    const int y = by_columns.of(patch);
    return {y, patch - y * columns};
  }
  VP_DEVICE float far(float dy, float dx) const {
    dy *= height;
    dx *= width;
    return fast_root(dy * dy + dx * dx);
  }
  // set(i, distance) for this thread's places of a table whose rows are `across` long, the middle
  // one that of no distance: a warp has every eighth row.
  template <class Set> VP_DEVICE void fill(int across, int thread, const Set& set) const {
    for (int y = thread / kWarpSize; y < 2 * rows - 1; y += kWarps) {
      for (int x = thread % kWarpSize; x < across; x += kWarpSize) {
        set(y * across + x,
            far(static_cast<float>(y - (rows - 1)), static_cast<float>(x - (columns - 1))));
      }
    }
  }
};

struct FarTable {
  using Query = int;  // both in bytes
  using Key = int;
  struct Table {
    float at[kFarPlaces];
  };

  static bool fits(const FarGrid& grid) {
    return int64_t{2 * grid.rows - 1} * across(grid) <= kFarPlaces;
  }
  VP_DEVICE static void fill(Table& table, const FarGrid& grid, int thread) {
    grid.fill(across(grid), thread, [&](int i, float far) { table.at[i] = far; });
  }
  VP_DEVICE static Key key(const FarGrid& grid, GridPlace at) {
    return (at.y * across(grid) + at.x) * static_cast<int>(sizeof(float));
  }
  VP_DEVICE static Query query(const FarGrid& grid, GridPlace at) {
    return key(grid, {at.y + grid.rows - 1, at.x + grid.columns - 1});
  }
  VP_DEVICE static void four(const Table& table, const FarGrid&, Query query,
                             const Key (&keys)[kLaneKeys], float (&far)[kLaneKeys]) {
    const char* bytes = reinterpret_cast<const char*>(table.at);
    VP_UNROLL
    for (int i = 0; i < kLaneKeys; ++i) {
      far[i] = *reinterpret_cast<const float*>(bytes + (query - keys[i]));
    }
  }

 private:
  VP_HD static int across(const FarGrid& grid) { return 2 * grid.columns - 1; }
};

struct FarPairs {
  using Query = int;  // both in bytes
  using Key = int;
  struct alignas(8) Pair {
    float second, first;  // the further key has the place before
  };
  struct Table {
    Pair pairs[kFarPlaces / 2];

    VP_DEVICE float& at(int i) { return i % 2 == 0 ? pairs[i / 2].second : pairs[i / 2].first; }
  };
  static constexpr int kMoved = kFarPlaces / 2 + 16;  // where the second begins: in other banks

  static bool fits(const FarGrid& grid) {
    return grid.columns % 2 == 0 && int64_t{2 * grid.rows - 1} * across(grid) < kFarPlaces - kMoved;
  }
  VP_DEVICE static void fill(Table& table, const FarGrid& grid, int thread) {
    grid.fill(across(grid), thread, [&](int i, float far) {
      table.at(i) = far;
      table.at(kMoved + i + 1) = far;
    });
  }
  VP_DEVICE static Key key(const FarGrid& grid, GridPlace at) {
    return (at.y * across(grid) + at.x) * static_cast<int>(sizeof(float));
  }
  // Keys' places are even: a pair's two places begin with an even one for odd queries.
  VP_DEVICE static Query query(const FarGrid& grid, GridPlace at) {
    const int place = (at.y + grid.rows - 1) * across(grid) + at.x + grid.columns - 1;
    return (place % 2 == 0 ? kMoved + place : place - 1) * static_cast<int>(sizeof(float));
  }
  VP_DEVICE static void four(const Table& table, const FarGrid&, Query query,
                             const Key (&keys)[kLaneKeys], float (&far)[kLaneKeys]) {
    const char* bytes = reinterpret_cast<const char*>(table.pairs);
    VP_UNROLL
    for (int i = 0; i < kLaneKeys; i += 2) {
      const Pair pair = *reinterpret_cast<const Pair*>(bytes + (query - keys[i]));
      far[i] = pair.first;
      far[i + 1] = pair.second;
    }
  }

 private:
  VP_HD static int across(const FarGrid& grid) { return 2 * grid.columns; }
};

struct FarComputed {
  struct Query {
    float y, x;
  };
  using Key = Query;
  struct Table {};

  static bool fits(const FarGrid&) { return true; }
  VP_DEVICE static void fill(Table&, const FarGrid&, int) {}
  VP_DEVICE static Key key(const FarGrid&, GridPlace at) {
    return {static_cast<float>(at.y), static_cast<float>(at.x)};
  }
  VP_DEVICE static Query query(const FarGrid& grid, GridPlace at) { return key(grid, at); }
  VP_DEVICE static void four(const Table&, const FarGrid& grid, Query query,
                             const Key (&keys)[kLaneKeys], float (&far)[kLaneKeys]) {
    VP_UNROLL
    for (int i = 0; i < kLaneKeys; ++i) far[i] = grid.far(query.y - keys[i].y, query.x - keys[i].x);
  }
};

}  // namespace vitprobe::kernels
