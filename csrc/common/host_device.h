// What lets one text be compiled by nvcc for the GPU and by any C++17 compiler for the host.
//
//   VP_HD      shared maths: callable on both sides
//   VP_DEVICE  kernel bodies: device code under nvcc, plain C++ elsewhere (host tests run them)
//   VP_UNROLL  unroll the next loop, so that the arrays it indexes stay in registers
//   VP_UNROLL_4  four turns at a time, so that their loads are under way together
//   VP_LOOP    leave the next loop a loop: unrolled, it would take too many registers
#pragma once

#if defined(__CUDACC__)
#define VP_HD __host__ __device__
#define VP_DEVICE __device__
#define VP_UNROLL _Pragma("unroll")
#define VP_UNROLL_4 _Pragma("unroll 4")
#define VP_LOOP _Pragma("unroll 1")
#else
#define VP_HD
#define VP_DEVICE
#define VP_UNROLL
#define VP_UNROLL_4
#define VP_LOOP
#endif
