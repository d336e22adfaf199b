// The tiles of a symmetric matrix that hold its lower triangle, diagonal included, in one line.
//
//   0
//   1 2        tile 4 is (row 2, col 1); every tile below or on the diagonal comes once
//   3 4 5
#pragma once

#include <cstdint>

#include "common/host_device.h"
#include "common/packed.h"

namespace vitprobe {

// Tiles of side `tile` along one side of an n x n matrix.
VP_HD inline int64_t tile_rows(int64_t n, int64_t tile) { return (n + tile - 1) / tile; }

// Tiles on or below the diagonal.
VP_HD inline int64_t lower_tiles(int64_t n, int64_t tile) {
  return packed_size(tile_rows(n, tile), true);
}

// The tile at a place in that line: its row and column, counted in tiles.
VP_HD inline Coordinate lower_tile(int64_t index) { return packed_coordinate(index, true); }

// The same of the tiles on or below the diagonal, or of all, row by row, `columns` in a row.
VP_HD inline Coordinate tile_at(int64_t index, int64_t columns, bool lower) {
  return lower ? lower_tile(index) : Coordinate{index / columns, index % columns};
}

}  // namespace vitprobe
