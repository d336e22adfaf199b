// What a body (thread_block.h) that works by warps may ask of its block, beside each_thread:
//
//   block.each_warp([&](int warp) { ... });          all 8 warps; a barrier follows
//   block.each_lane(warp, [&](int thread) { ... });  the 32 threads of a warp; nothing follows
//   block.sync_warp();                               what lanes wrote to shared memory is seen
//
// and, for all lanes of a warp together, on what each keeps (mma.h; out, d, c, a, b: PerThread):
//
//   block.ldmatrix(warp, out, row)             out from the rows row(thread)
//   block.ldmatrix_transposed(warp, out, row)
//   block.mma<T>(warp, d, c, a, b, which)      d = c + A B; B: the first or second one (0, 1) of b
//
// with a function of the thread for the value, a reference to it where it is changed:
//
//   block.swap(warp, mask, value)      value of lane l and of lane l ^ mask
//   block.spread(warp, value, source)  value of lane l becomes that of lane source(l)
//   block.any(warp, predicate)         whether predicate(thread) is true in one lane or more
//
// and for one thread, in each_thread or each_lane:
//
//   block.copy<N>(thread, to, from, bytes), copy_if(wanted, thread, to, from),
//   block.commit(thread), block.wait<G>(thread)                                    async_copy.h
//
// What a thread keeps is a Block::PerThread, as in thread_block.h. device_warps.cuh is the GPU's
// block, host/host_warps.h the host's.
#pragma once

#include "cuda/device/mma.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

constexpr int kWarps = kThreads / kWarpSize;

}  // namespace vitprobe::kernels
