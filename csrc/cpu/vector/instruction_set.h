// One kernel, compiled for several instruction sets: which of them this processor runs best.
#pragma once

// Whether the compiler can be told another instruction set in the middle of a file.
#if defined(__x86_64__) && defined(__GNUC__)  // GCC and clang
#define VP_X86_TARGETS 1
#define VP_PRAGMA(...) _Pragma(#__VA_ARGS__)
#if defined(__clang__)
#define VP_BEGIN_TARGET(set) \
  VP_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define VP_END_TARGET VP_PRAGMA(clang attribute pop)
#else
#define VP_BEGIN_TARGET(set) VP_PRAGMA(GCC push_options) VP_PRAGMA(GCC target(set))
#define VP_END_TARGET VP_PRAGMA(GCC pop_options)
#endif
#else
#define VP_X86_TARGETS 0
#endif

#if VP_X86_TARGETS
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace vitprobe {

#if VP_X86_TARGETS
inline bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}

inline bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

inline bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

// Also asks Linux, which grants the tiles' 8 KB of registers to a process that wants them.
inline bool has_amx_bf16() {
#if defined(__linux__)
  constexpr unsigned kTile = 1u << 24, kBF16 = 1u << 22;  // of leaf 7's edx
  constexpr long kAskPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned eax, ebx, ecx, edx = 0;
  return has_avx512_bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
         (edx & kTile) && (edx & kBF16) &&
         syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

}  // namespace vitprobe
