// One kernel, compiled for several instruction sets: which of them this processor runs best.
//
// Each version is a constant of the same name in the namespace of its set. A file for each set
// defines VP_ISA, the namespace, and includes the kernel's code between VP_BEGIN_TARGET and
// VP_END_TARGET.
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

// Declares a kernel's versions; VP_BEST is the best that this processor runs.
#define VP_VERSIONS(declaration) \
  namespace base {               \
  declaration;                   \
  }                              \
  namespace avx2 {               \
  declaration;                   \
  }                              \
  namespace avx512 {             \
  declaration;                   \
  }

#if VP_X86_TARGETS
#define VP_AVX2 "avx2,fma,bmi2"
#define VP_AVX512 "avx512f,avx512bw,avx512dq,avx512vl," VP_AVX2
#define VP_BEST(name) (has_avx512() ? avx512::name : has_avx2() ? avx2::name : base::name)
#else
#define VP_BEST(name) base::name
#endif

#if VP_X86_TARGETS && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
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

// Linux grants the tiles, 8 KB of registers, to a process that asks for them: once.
inline bool has_amx_bf16() {
#if defined(__linux__)
  static const bool granted = [] {
    constexpr unsigned kTiles = 1u << 24, kBF16 = 1u << 22;  // of leaf 7's edx
    constexpr long kAskPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
    unsigned eax, ebx, ecx, edx;
    return has_avx512_bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & kTiles) &&
           (edx & kBF16) && syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
  }();
  return granted;
#else
  return false;
#endif
}
#endif

}  // namespace vitprobe
