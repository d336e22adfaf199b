// The centred vectors of many sites of one forward, together: a small site has too little work to
// fill a GPU, and less of it than four launches take.
//
//   x:    for each site (n, p_site)   one type, p and alignment as they are
//   out:  (sites, m)                  center.h
//
//   sites     | a                 | b  | c         |        one block of the grid: one split of one
//   blocks    | 0   | 1   | 2     | 3  | 4   | 5   |        site, as in split.h
//
// A split is as long as fills the GPU kWaves times over, were all work equal; a site has as many,
// evenly cut, as it takes. What a launch needs to know of its sites, at most kGroupSites, travels
// as a kernel's argument (4 KiB at most): nothing is copied to the GPU beforehand. Three launches
// for all of them: GroupSplit, GroupFold, Center; one site, or one of more than 256 rows, takes
// GramSplit and GramFold in place of the first two.
//
// Floor: as fast.h, over all sites. Partial results: as there, (sites + kWaves GPUs full)
// blocks at most.
#pragma once

#include <cstdint>
#include <utility>

#include "common/host_device.h"
#include "cuda/gram/center.h"
#include "cuda/gram/fast.h"
#include "cuda/gram/fold.h"
#include "cuda/gram/split.h"

namespace vitprobe::kernels {

constexpr int kGroupSites = 128;
constexpr int kWaves = 2;

// The splits of all sites of a launch, in one line.
struct GroupSplits {
  int32_t sites;
  int32_t first[kGroupSites + 1];  // splits before site i; first[sites] is their number

  VP_HD int count(int site) const { return first[site + 1] - first[site]; }
  // The site that a split belongs to.
  VP_HD int site_of(int split) const {
    int low = 0, high = sites - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first[middle] <= split) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
};

template <typename T> struct GramGroup {
  struct Site {
    const T* data;
    int64_t columns, stride;
  };
  int64_t rows;
  GroupSplits splits;
  Site site[kGroupSites];

  VP_HD int64_t stages(int i) const { return ceil_div(site[i].columns, kStageColumns<T>); }
  VP_HD Matrix<T> matrix(int i) const {
    return {site[i].data, rows, site[i].columns, site[i].stride};
  }
};
static_assert(sizeof(GramGroup<float>) <= 4000);

// Block `index`: split `index` of the group.
template <class Math, class Tiles> struct GroupSplit {
  using T = typename Math::T;
  using Own = GramBlock<Math, Tiles>;
  using Shared = typename Own::Shared;
  static constexpr int kBlocksEach = Tiles::kBlocksEach;

  GramGroup<T> group;
  float* partials;  // (splits, groups, kSize)

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const GroupSplits& splits = group.splits;
    const int site = splits.site_of(static_cast<int>(index));
    const Range stages =
        share_range(group.stages(site), splits.count(site), index - splits.first[site]);
    const Matrix<T> x = group.matrix(site);
    Own::run(block, shared, x, {x.columns, nullptr, nullptr}, block_rows(x.rows, false, 0), stages,
             copy_bytes(x), partials + index * Tiles::kGroups * Tiles::kSize);
  }
};

// Block `index`: of site index / blocks(log_parts).
template <class Tiles, typename T> struct GroupFold {
  using Own = FoldBlock<Tiles, T>;
  using Shared = typename Own::Shared;
  static constexpr int kBlocksEach = 4;

  GramGroup<T> group;
  int log_parts;
  const float* partials;
  double* packed;   // (sites, n(n+1)/2)
  double* squares;  // (sites, blocks(log_parts)), or null

  template <class Block>
  VP_DEVICE void operator()(Block block, Shared& shared, int64_t index) const {
    const int site = static_cast<int>(index >> log_parts) / Own::kBlocks;
    const int blocks = Own::blocks(log_parts);
    const GroupSplits& splits = group.splits;
    const int64_t n = group.rows;
    Own::run(block, shared, n, block_rows(n, false, 0), static_cast<int>(index) - site * blocks,
             log_parts, partials + int64_t{splits.first[site]} * Tiles::kGroups * Tiles::kSize,
             splits.count(site) * Tiles::kGroups, false,
             {group.site[site].data, group.site[site].columns},
             packed + site * packed_size(n, true),
             squares == nullptr ? nullptr : squares + site * blocks);
  }
};

// A group of the first of `count` sites: as many as one launch takes without a split of more than
// kRunStages stages; at least one site, whose splits are then as many as it takes.
template <typename T> GramGroup<T> take_group(const Matrix<T>* x, int64_t count, int64_t blocks) {
  GramGroup<T> group{x[0].rows, {}, {}};
  int32_t &sites = group.splits.sites, *first = group.splits.first;
  const int64_t wanted = kWaves * blocks;  // splits
  int64_t stages = 0;
  for (int i = 0; i < count && i < kGroupSites; ++i) {
    const int64_t more = ceil_div(x[i].columns, kStageColumns<T>);
    if (i > 0 && stages + more > wanted * kRunStages) break;
    group.site[sites++] = {x[i].data, x[i].columns, x[i].stride};
    stages += more;
  }
  int64_t length = ceil_div(stages, wanted);
  if (length < kLeastStages) length = kLeastStages;
  if (length > kRunStages) length = kRunStages;
  for (int i = 0; i < sites; ++i) {
    first[i + 1] = first[i] + static_cast<int32_t>(ceil_div(group.stages(i), length));
  }
  return group;
}

// Workspace of centered_grams in elements, for `count` sites of n rows of at most p columns.
struct GroupSizes {
  int64_t partials, shifts, packed, sums, squares;
};

inline GroupSizes group_sizes(int64_t n, int64_t count, int64_t p, int64_t num_sms) {
  const int64_t sites = n > kMostRows ? 1 : count < kGroupSites ? count : kGroupSites;
  int64_t partials = num_sms * kPartialsPerSm;  // of a site that goes alone
  if (sites > 1) {
    with_tiles(n, [&](auto tiles) {
      using Tiles = decltype(tiles);
      const int64_t splits = sites + kWaves * num_sms * Tiles::kBlocksEach;
      const int64_t together = splits * Tiles::kGroups * Tiles::kSize;
      if (together > partials) partials = together;
    });
  }
  return {partials, gram_shifts(n, p), sites * packed_size(n, true), sites * center_sums(n),
          sites * kMostSquares};
}

// Of these sizes; partials aligned to 16 bytes.
struct GroupWorkspace {
  float *partials, *shifts;
  double *packed, *sums, *squares;
};

// Where the results go: vectors of packed_size(n, biased), `stride` apart; of every site's first
// example the norm, unless `norms` is null.
struct GroupResults {
  float* vectors;
  int64_t stride;
  double* norms;
};

// Splits and packed Gram matrices of the first of `count` sites, as many as one launch takes.
// Returns how many those are, and the parts of the squares that each has.
template <class Math, class Tiles, class Grid>
std::pair<int64_t, int64_t> grams_together(Grid& grid, const Matrix<typename Math::T>* x,
                                           int64_t count, int64_t num_sms,
                                           const GroupWorkspace& work, double* squares) {
  using T = typename Math::T;
  using Fold = GroupFold<Tiles, T>;
  const GramGroup<T> group = take_group(x, count, num_sms * Tiles::kBlocksEach);
  const int64_t sites = group.splits.sites;
  if (sites == 1) {  // it fills the GPU, and may take several passes
    return {1, gram_fast<Math>(grid, x[0], num_sms, work.partials, nullptr, work.packed, squares)};
  }
  int longest = 0;
  for (int i = 0; i < sites; ++i) {
    longest = group.splits.count(i) > longest ? group.splits.count(i) : longest;
  }
  const int log_parts = fold_log_parts(int64_t{longest} * Tiles::kGroups);
  grid.launch_warps(group.splits.first[sites], GroupSplit<Math, Tiles>{group, work.partials});
  grid.launch_warps(sites * Fold::Own::blocks(log_parts),
                    Fold{group, log_parts, work.partials, work.packed, squares});
  return {sites, Fold::Own::blocks(log_parts)};
}

// num_sms: the GPU's multiprocessors.
template <class Math, class Grid>
void centered_grams(Grid& grid, const Matrix<typename Math::T>* x, int64_t count, int64_t num_sms,
                    bool biased, const GroupWorkspace& work, const GroupResults& to) {
  const int64_t n = x[0].rows;
  double* squares = to.norms == nullptr ? nullptr : work.squares;
  for (int64_t done = 0; done < count;) {
    std::pair<int64_t, int64_t> together;  // sites, parts
    if (n > kMostRows) {
      together = {1, gram_fast<Math>(grid, x[done], num_sms, work.partials, work.shifts,
                                     work.packed, squares)};
    } else {
      with_tiles(n, [&](auto tiles) {
        together = grams_together<Math, decltype(tiles)>(grid, x + done, count - done, num_sms,
                                                         work, squares);
      });
    }
    const auto [sites, parts] = together;
    center_pack(grid, work.packed, sites, n, biased, work.sums, to.vectors + done * to.stride,
                to.stride, Norms{squares, parts, to.norms == nullptr ? nullptr : to.norms + done});
    done += sites;
  }
}

}  // namespace vitprobe::kernels
