// How a product is cut into tasks for the threads at hand.
//
//   splits   of K: consecutive slabs with sums of their own, which are added in order afterwards.
//            They settle the result's last bits, so their number follows from the sizes alone
//   groups   of a split's tiles, where threads are more than splits: each packs the split's slabs
//            again and fills its own tiles, with the same bits however many groups there are
//
// For one thread a split costs a third to a half of a slab's time, in sums that are filled and
// added (more where all of them outgrow the cache); so there are few, and groups do the rest.
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

inline constexpr int64_t kLeast = int64_t{1} << 22;      // products that pay for a thread
inline constexpr int64_t kWorkspace = int64_t{1} << 24;  // doubles: 128 MB

inline PanelPlan plan_panels(const Product& product, int64_t panel, int64_t threads) {
  const int64_t a_rows = product.a.rows, b_rows = product.b.rows;
  const int64_t a_panels = tile_rows(a_rows, panel), b_panels = tile_rows(b_rows, panel);
  PanelPlan plan = {};
  plan.panel = panel;
  plan.b_panels = b_panels;
  plan.tiles = product.symmetric ? packed_size(a_panels, true) : a_panels * b_panels;
  plan.slabs = ceil_div(product.a.length, kSlab);

  const int64_t paid = a_rows * b_rows * product.a.length / kLeast;
  const int64_t fits = kWorkspace / plan.split();
  const int64_t useful = std::max(std::min<int64_t>(plan.slabs / 4, 8), plan.slabs / 16);
  plan.splits = std::max<int64_t>(1, std::min({useful, paid, fits, int64_t{64}}));
  const int64_t idle = ceil_div(threads, plan.splits);
  plan.groups = std::max<int64_t>(1, std::min({idle, paid / plan.splits, plan.tiles}));
  return plan;
}

}  // namespace vitprobe
