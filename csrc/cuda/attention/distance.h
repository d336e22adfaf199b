// How far apart two patches are, for the fast attention kernel: looked up, or computed.
//
//   FarTable     |pos_i - pos_j| for every (dy, dx), both signs, in shared memory. The place of a
//                pair is a number of the query less a number of the key: one subtraction and one
//                load. Neighbouring queries and keys have neighbouring places: no bank conflict
//                but where a row of the grid ends.
//   FarComputed  from coordinates, for grids whose table is too large
//
// Both say what is kept of a query (Query, in registers) and of a key (Key, beside its stage).
#pragma once

#include <cmath>
#include <cstdint>

#include "common/host_device.h"
#include "cuda/attention/parts.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

constexpr int kFarPlaces = 4096;  // floats of a table: grids of 32 x 32 patches and below

#if defined(__CUDACC__)
__device__ inline float fast_root(float x) {
  float y;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
inline float fast_root(float x) { return std::sqrt(x); }
#endif

// Patches of a row and of a column, and their size.
struct FarGrid {
  int rows, columns;
  float height, width;

  explicit FarGrid(const AttentionShape& shape)
      : rows(static_cast<int>(shape.rows)),
        columns(static_cast<int>(shape.columns)),
        height(static_cast<float>(shape.height)),
        width(static_cast<float>(shape.width)) {}

  VP_HD int across() const { return 2 * columns - 1; }
};

inline bool fits_table(const AttentionShape& shape) {
  return (2 * shape.rows - 1) * (2 * shape.columns - 1) <= kFarPlaces;
}

struct FarTable {
  using Query = int;
  using Key = int;
  struct Table {
    float at[kFarPlaces];
  };

  VP_DEVICE static void fill(Table& table, const FarGrid& grid, int thread) {
    for (int i = thread; i < (2 * grid.rows - 1) * grid.across(); i += kThreads) {
      const float dy = static_cast<float>(i / grid.across() - (grid.rows - 1)) * grid.height;
      const float dx = static_cast<float>(i % grid.across() - (grid.columns - 1)) * grid.width;
      table.at[i] = std::sqrt(dy * dy + dx * dx);
    }
  }
  VP_DEVICE static Key key(const FarGrid& grid, int patch) {
    return patch / grid.columns * grid.across() + patch % grid.columns;
  }
  VP_DEVICE static Query query(const FarGrid& grid, int patch) {
    return key(grid, patch) + (grid.rows - 1) * grid.across() + grid.columns - 1;
  }
  VP_DEVICE static float between(const Table& table, Query query, Key key) {
    return table.at[query - key];
  }
};

struct FarComputed {
  struct Query {
    float y, x;
  };
  using Key = Query;
  struct Table {};

  VP_DEVICE static void fill(Table&, const FarGrid&, int) {}
  VP_DEVICE static Key key(const FarGrid& grid, int patch) {
    return {static_cast<float>(patch / grid.columns) * grid.height,
            static_cast<float>(patch % grid.columns) * grid.width};
  }
  VP_DEVICE static Query query(const FarGrid& grid, int patch) { return key(grid, patch); }
  VP_DEVICE static float between(const Table&, const Query& query, const Key& key) {
    const float dy = query.y - key.y, dx = query.x - key.x;
    return fast_root(dy * dy + dx * dx);
  }
};

}  // namespace vitprobe::kernels
