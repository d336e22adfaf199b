// How a product is cut into tasks for any number of threads: from its sizes alone, so that the
// result is the same bits whoever does them.
//
//   splits   of K: consecutive slabs with sums of their own, which are added in order afterwards
//   groups   of a split's tiles, where there are few slabs: each packs the split's slabs again
//
// What they cost where one thread does all: a split a third to a half of a slab's time, in sums that
// are filled and added; a group one more packing, up to a sixth of the work at 256 rows, and half
// of that at 512.
#pragma once

#include <algorithm>

#include "cpu/product/panels.h"

namespace vitprobe {

struct PanelPlan {
  int64_t panel;  // rows of one
  int64_t b_panels, tiles, slabs;
  int64_t splits, groups;

  int64_t tasks() const { return splits * groups; }
  int64_t tile() const { return panel * panel; }    // doubles of one
  int64_t split() const { return tiles * tile(); }  // doubles of the sums of one
  int64_t split_of(int64_t task) const { return task / groups; }
  Range slabs_of(int64_t task) const { return share_range(slabs, splits, split_of(task)); }
  Range tiles_of(int64_t task) const { return share_range(tiles, groups, task % groups); }
};

inline constexpr int64_t kTasks = 64;                    // at most
inline constexpr int64_t kLeast = int64_t{1} << 22;      // products that pay for a thread
inline constexpr int64_t kWorkspace = int64_t{1} << 24;  // doubles: 128 MB

inline PanelPlan plan_panels(const Product& product, int64_t panel) {
  const int64_t a_rows = product.a.rows, b_rows = product.b.rows;
  const int64_t a_panels = tile_rows(a_rows, panel), b_panels = tile_rows(b_rows, panel);
  PanelPlan plan = {};
  plan.panel = panel;
  plan.b_panels = b_panels;
  plan.tiles = product.symmetric ? packed_size(a_panels, true) : a_panels * b_panels;
  plan.slabs = ceil_div(product.a.length, kSlab);

  const int64_t paid = std::min(a_rows * b_rows * product.a.length / kLeast, kTasks);
  const int64_t fits = kWorkspace / plan.split();
  const int64_t useful = std::max(std::min<int64_t>(plan.slabs, 16), plan.slabs / 8);
  plan.splits = std::max<int64_t>(1, std::min({useful, paid, fits}));
  const int64_t packings = std::min(a_rows, b_rows) / 256;  // that cost a sixth of the work at most
  plan.groups = std::max<int64_t>(1, std::min({paid / plan.splits, packings, plan.tiles}));
  return plan;
}

}  // namespace vitprobe
