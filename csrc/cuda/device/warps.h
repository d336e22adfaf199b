// What a body (thread_block.h) that works by warps may ask of its block, beside each_thread:
//
//   block.each_warp([&](int warp) { ... });          all 8 warps; a barrier follows
//   block.each_lane(warp, [&](int thread) { ... });  the 32 threads of a warp; nothing follows
//   block.sync_warp();                               what lanes wrote to shared memory is seen
//
// and, for all lanes of a warp together, with a function of the thread for each register operand:
//
//   block.ldmatrix(warp, out, row)     mma.h: out(thread)[0..3] from the rows row(lane)
//   block.mma<T>(warp, d, a, b)        mma.h: d(thread)[0..3] += A B
//   block.swap(warp, mask, value)      value(thread) of lane l and of lane l ^ mask
//   block.any(warp, predicate)         whether predicate(thread) is true in one lane or more
//
// and for one thread, in each_thread:
//
//   block.copy<N>(thread, to, from, bytes), commit(thread), wait<G>(thread)     async_copy.h
//
// What a thread keeps is a Block::PerThread, as in thread_block.h. device_warps.cuh is the GPU's
// block, host/host_warps.h the host's.
#pragma once

#include "cuda/device/mma.h"
#include "cuda/device/thread_block.h"

namespace vitprobe::kernels {

constexpr int kWarps = kThreads / kLanes;

}  // namespace vitprobe::kernels
