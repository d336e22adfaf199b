// How a long sum over K is cut, so that its result depends on the problem and never on how many
// threads or blocks share the work.
//
//   runs    pieces of a fixed length, the last one shorter: summed in fp32, then added in fp64
//   shares  consecutive groups of runs, as even as can be: one share is one worker's
//
// The caller chooses lengths and numbers of shares from the problem's sizes alone.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace vitprobe {

struct Range {
  int64_t begin, end;
};

// Runs of `length` needed to cover 0..total.
VP_HD inline int64_t ceil_div(int64_t total, int64_t length) {
  return (total + length - 1) / length;
}

// Run i of 0..ceil_div(total, length): [i length, (i + 1) length), cut off at total.
VP_HD inline Range run_range(int64_t total, int64_t length, int64_t i) {
  const int64_t begin = i * length;
  const int64_t end = begin + length;
  return {begin, end < total ? end : total};
}

// Share i of `shares` consecutive shares of 0..count; sizes differ by one at most, longer first.
VP_HD inline Range share_range(int64_t count, int64_t shares, int64_t i) {
  const int64_t base = count / shares, longer = count % shares;
  const int64_t begin = i * base + (i < longer ? i : longer);
  return {begin, begin + base + (i < longer ? 1 : 0)};
}

}  // namespace vitprobe
