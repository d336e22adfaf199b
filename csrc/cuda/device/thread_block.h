// How a kernel body is written, so that it runs on the GPU and, thread by thread, on the host.
//
// A body is a plain struct: its fields are the kernel's arguments, its `Shared` is what one block
// keeps in shared memory, and
//
//   template <class Block>
//   void operator()(Block block, Shared& shared, int64_t index) const;
//
// is what block `index` does. The work of its kThreads threads stands between barriers:
//
//   block.each_thread([&](int thread) { ... });   // all threads; a barrier follows
//
// What a thread keeps from one such phase to the next lives in a `Block::PerThread<T>`, read as
// own[thread]: registers on the GPU, an array on the host. Loops around phases must not depend
// on the thread, so every barrier is reached by all; within a phase no thread reads what another
// writes (host tests run the threads in several orders and want the same bits).
//
// A grid launches bodies one after the other: grid.launch(blocks, body). See device_grid.cuh for
// the GPU and host/host_grid.h for the host.
#pragma once

namespace vitprobe::kernels {

constexpr int kThreads = 256;

}  // namespace vitprobe::kernels
