// AMX's instructions in software, as Intel's manual (SDM, TDPBF16PS and those around it) writes
// them. What hardware faults at, and what a kernel should never do, ends the program.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace amx {

inline void need(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "AMX model: %s\n", what);
  std::abort();
}

inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

inline float widened(uint16_t bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return flushed(x);
}

struct Tile {
  int rows, bytes;  // 0: not configured
  unsigned char data[16][64];
};

struct Unit {
  Tile tiles[8] = {};
  bool configured = false;

  Tile& tile(int index) {
    need(configured && index >= 0 && index < 8, "a tile that there is not");
    need(tiles[index].rows > 0 && tiles[index].bytes > 0, "a tile without a shape");
    return tiles[index];
  }
};

inline Unit& unit() {
  static thread_local Unit state;
  return state;
}

// One 32-bit number of a row.
template <class T> T get(const Tile& tile, int row, int index) {
  T value;
  std::memcpy(&value, tile.data[row] + index * sizeof(T), sizeof value);
  return value;
}

struct Model {
  template <class Config> static void configure(const Config& config) {
    unsigned char bytes[64];
    static_assert(sizeof config == sizeof bytes, "64 bytes");
    std::memcpy(bytes, &config, sizeof bytes);
    need(bytes[0] == 1 && bytes[1] == 0, "palette 1, from the first row on");
    for (int i = 2; i < 16; ++i) need(bytes[i] == 0, "reserved bytes are zeros");
    for (int i = 0; i < 16; ++i) {
      const int width = bytes[16 + 2 * i] | bytes[17 + 2 * i] << 8, rows = bytes[48 + i];
      need(i < 8 || (width == 0 && rows == 0), "there are eight tiles");
      need(width <= 64 && rows <= 16 && (width == 0) == (rows == 0), "16 rows of 64 bytes");
      if (i < 8) unit().tiles[i] = {rows, width, {}};
    }
    unit().configured = true;
  }

  static void release() {
    need(unit().configured, "released before it was configured");
    unit() = {};
  }

  template <int T> static void load(const void* from, int64_t stride) {
    Tile& tile = unit().tile(T);
    std::memset(tile.data, 0, sizeof tile.data);
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(tile.data[r], static_cast<const char*>(from) + r * stride, tile.bytes);
    }
  }

  // The even and the odd numbers of the pairs are summed apart, from 0, then all is added.
  template <int C, int A, int B> static void dot() {
    need(C != A && C != B && A != B, "three tiles");
    Tile &c = unit().tile(C), &a = unit().tile(A), &b = unit().tile(B);
    need(c.rows == a.rows && c.bytes == b.bytes && a.bytes / 4 == b.rows, "shapes that fit");
    need(a.bytes % 4 == 0 && c.bytes % 4 == 0, "whole numbers");
    for (int m = 0; m < c.rows; ++m) {
      for (int n = 0; n < c.bytes / 4; ++n) {
        float sums[2] = {0, 0};
        for (int k = 0; k < a.bytes / 4; ++k) {
          for (int i = 0; i < 2; ++i) {
            const float x = widened(get<uint16_t>(a, m, 2 * k + i));
            const float y = widened(get<uint16_t>(b, k, 2 * n + i));
            sums[i] = flushed(std::fma(x, y, sums[i]));
          }
        }
        const float sum = flushed(flushed(get<float>(c, m, n)) + flushed(sums[0] + sums[1]));
        std::memcpy(c.data[m] + 4 * n, &sum, sizeof sum);
      }
    }
  }

  template <int T> static void store(void* to, int64_t stride) {
    const Tile& tile = unit().tile(T);
    for (int r = 0; r < tile.rows; ++r) {
      std::memcpy(static_cast<char*>(to) + r * stride, tile.data[r], tile.bytes);
    }
  }
};

}  // namespace amx
