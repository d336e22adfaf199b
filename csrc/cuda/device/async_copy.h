// Copies from global to shared memory that a thread starts and does not wait for: cp.async.
//
//   async_copy<N>   N = 4 or 16 bytes, both ends aligned to N; of these the first `bytes` are
//                   read (0 .. N), the rest of the place is filled with zeros
//   async_copy_if   all of 16 bytes, or nothing
//   commit_copies   all copies of this thread since the last commit are one group
//   wait_copies<G>  until all groups of this thread but the newest G are there; other threads see
//                   them after the next barrier
//
// The host's versions are in host/host_warps.h, where a copy may come as late as its wait allows.
#pragma once

#if defined(__CUDACC__)

#include <cstdint>

#include "cuda/device/mma.h"

namespace vitprobe::kernels {

// Without a branch, which would be one for each copy.
__device__ inline void async_copy_if(bool wanted, void* to, const void* from) {
  asm volatile(
      "{\n\t"
      ".reg .pred wanted;\n\t"
      "setp.ne.b32 wanted, %0, 0;\n\t"
      "@wanted cp.async.cg.shared.global [%1], [%2], 16;\n\t"
      "}" ::"r"(static_cast<int>(wanted)),
      "r"(shared_address(to)), "l"(from)
      : "memory");
}

template <int kBytes> __device__ inline void async_copy(void* to, const void* from, int bytes) {
  static_assert(kBytes == 4 || kBytes == 16);
  if constexpr (kBytes == 16) {  // past L1: a row is read once
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  }
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int kGroups> __device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

}  // namespace vitprobe::kernels

#endif
